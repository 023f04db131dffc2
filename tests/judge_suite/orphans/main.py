import os
import signal
import time

from raw import honest

from touchstone_client import serve

for _ in range(6):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            for descriptor in (0, 1, 2):
                os.close(descriptor)
            time.sleep(3600)
        os._exit(0)
    os.wait()
print("daemons: 6", flush=True)
serve(honest)
