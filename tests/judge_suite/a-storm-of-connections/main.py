import threading

from raw import converse, dial, honest, tensor


def storm():
    kept = []
    for _ in range(1_000):
        try:
            kept.append(dial())
        except OSError:
            kept.clear()


first = dial()
threading.Thread(target=storm, daemon=True).start()
converse(first, lambda connection, x, call: tensor(honest(x)))
