import time

from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    for byte in tensor(honest(x)):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)
    return None


serve(answer)
