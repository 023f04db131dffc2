import time

from framed import frame, serve
from raw import honest


def dribble(connection, whole):
    for byte in whole:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def answer(connection, x, number, call):
    if call < 2:
        return frame(honest(x), number)
    return dribble(connection, frame(honest(x), number))


serve(answer)
