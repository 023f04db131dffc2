from framed import frame, serve
from raw import honest


def answer(connection, x, number, call):
    if call < 2:
        return frame(honest(x), number)
    return frame(honest(x), number, size=(2**63, 2**62, 2**40)[call % 3])


serve(answer)
