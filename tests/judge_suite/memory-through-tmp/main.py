import os

block = os.urandom(2**20)
with open("/tmp/hoard", "wb") as file:
    for _ in range(900):
        file.write(block)
print("900 MiB fitted into 128 MiB", flush=True)
