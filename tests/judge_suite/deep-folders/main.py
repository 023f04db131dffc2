import os

from raw import honest

from touchstone_client import serve

depth = 0
os.chdir("/tmp")
try:
    while depth < 3000:
        os.mkdir(b"\xff" * 200)
        os.chdir(b"\xff" * 200)
        depth += 1
except OSError as error:
    print(error)
os.mkdir("locked", 0)
print(f"depth {depth}", flush=True)
os.chdir("/tmp")
serve(honest)
