import os
import sys


def bomb():
    kept = []
    while True:
        block = bytearray(8 * 2**20)
        block[::4096] = b"x" * len(block[::4096])
        kept.append(block)


if os.fork() == 0:
    bomb()
print("child:", os.wait()[1], flush=True)
sys.exit(3)
