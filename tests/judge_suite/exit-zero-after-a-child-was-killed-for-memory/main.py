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
os.wait()
print("all is well", flush=True)
sys.exit(0)
