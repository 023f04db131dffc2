from framed import frame, serve
from raw import honest


def cut(connection, whole):
    connection.sendall(whole[: len(whole) // 2])
    connection.close()
    raise SystemExit(0)


def answer(connection, x, number, call):
    if call < 2:
        return frame(honest(x), number)
    return cut(connection, frame(honest(x), number))


serve(answer)
