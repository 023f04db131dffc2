import os
import time

from raw import converse, dial, honest, tensor

while True:
    if os.fork() == 0:
        converse(dial(), lambda connection, x, call: tensor(honest(x)), most=1)
        os._exit(0)
    os.wait()
    if not os.path.exists(os.environ["TOUCHSTONE_SOCKET"]):
        break
    time.sleep(0.01)
