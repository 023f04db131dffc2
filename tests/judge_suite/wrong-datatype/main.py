import numpy as np
from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return tensor(honest(x).astype(np.int64), datatype="INT64") if call % 2 else tensor(honest(x), datatype="OBJECT")


serve(answer)
