import os

block = os.urandom(2**20)
for number in range(90):
    descriptor = os.memfd_create(f"hoard-{number}")
    for _ in range(10):
        os.write(descriptor, block)
print("900 MiB fitted into 128 MiB", flush=True)
