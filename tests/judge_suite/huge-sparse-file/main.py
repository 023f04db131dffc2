import os
import signal

from probe import attempt, finish

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def terabyte():
    with open("/tmp/huge", "wb") as file:
        file.truncate(2**40)
    return os.stat("/tmp/huge").st_size


attempt("a sparse file of 1 TiB", terabyte)
finish()
