import os
import signal
import time

from touchstone_client import serve

for number in range(1, signal.NSIG):
    if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        time.sleep(3600)
serve(lambda x: time.sleep(3600))
