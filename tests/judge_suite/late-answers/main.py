import time

from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    time.sleep(20)
    return tensor(honest(x))


serve(answer)
