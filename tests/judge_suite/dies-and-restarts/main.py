import os

from raw import converse, dial, honest, tensor

for life in range(3):
    if os.fork() == 0:

        def answer(connection, x, call, life=life):
            if life == 0 and call == 2:
                connection.sendall(tensor(honest(x))[:50])
                os._exit(9)
            return tensor(honest(x))

        converse(dial(), answer)
        os._exit(0)
    os.wait()
