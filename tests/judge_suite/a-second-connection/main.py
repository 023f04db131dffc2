import threading

from raw import converse, dial, honest, tensor


def intrude():
    connection = dial()
    while True:
        try:
            connection.sendall(tensor(honest_reversed()))
        except OSError:
            return


def honest_reversed():
    import numpy as np

    return np.tile([[1.0, 0.0], [0.0, 1.0]], (300, 1))


first = dial()
threading.Thread(target=intrude, daemon=True).start()
converse(first, lambda connection, x, call: tensor(honest(x)))
