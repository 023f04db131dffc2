from framed import frame, serve
from raw import honest


def answer(connection, x, number, call):
    if call < 2:
        return frame(honest(x), number)
    return frame(honest(x), number, head_size=2**32 - 1)


serve(answer)
