import os

from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    os._exit(0)


serve(answer)
