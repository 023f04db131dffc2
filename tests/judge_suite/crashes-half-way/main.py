import os
import signal

from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    os.kill(os.getpid(), signal.SIGSEGV)
    return None


serve(answer)
