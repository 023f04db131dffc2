import os


def bomb():
    kept = []
    while True:
        block = bytearray(8 * 2**20)
        block[::4096] = b"x" * len(block[::4096])
        kept.append(block)


# Small enough to be spared by the kernel, which ends the largest process.
for number in range(3):
    child = os.fork()
    if child == 0:
        bomb()
    print(f"child {number} ended by {os.waitpid(child, 0)[1] & 127}", flush=True)

from raw import honest  # noqa: E402

from touchstone_client import serve  # noqa: E402

serve(honest)
