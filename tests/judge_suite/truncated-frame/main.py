import time

from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    whole = tensor(honest(x))
    connection.sendall(whole[: len(whole) // 2])
    connection.close()
    time.sleep(3600)
    return None


serve(answer)
