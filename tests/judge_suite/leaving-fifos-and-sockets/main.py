import os
import socket

from raw import honest

from touchstone_client import serve

count, kept = 0, []
for folder in ("/tmp", "/dev/shm", "/submission", "/run/touchstone"):
    try:
        os.mkfifo(f"{folder}/predictions.csv")
        kept.append(socket.socket(socket.AF_UNIX))
        kept[-1].bind(f"{folder}/scores.json")
        count += 2
    except OSError as error:
        print(error)
print(f"special files: {count}", flush=True)
serve(honest)
