import os
import time

from raw import honest

from touchstone_client import serve

if os.fork() == 0:
    os.setsid()
    while True:
        if os.fork() != 0:
            os._exit(0)
        time.sleep(0.001)
serve(honest)
