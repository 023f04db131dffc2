from framed import frame, serve
from raw import honest


def answer(connection, x, number, call):
    if call < 2:
        return frame(honest(x), number)
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + bytes(64)


serve(answer)
