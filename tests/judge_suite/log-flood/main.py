import os

from raw import honest

from touchstone_client import serve

line = b"all work and no play makes jack a dull boy\n" * 2500
for _ in range(700):
    os.write(1, line)
print("the end of the flood", flush=True)
serve(honest)
