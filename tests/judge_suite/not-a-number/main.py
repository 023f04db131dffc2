import numpy as np
from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return tensor(np.where(np.arange(len(x))[:, None] == 1, np.nan, honest(x)))


serve(answer)
