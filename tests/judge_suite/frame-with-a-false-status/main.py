from framed import frame, serve
from raw import honest


def answer(connection, x, number, call):
    if call < 2:
        return frame(honest(x), number)
    return frame(honest(x), number, kind=3, status=200)


serve(answer)
