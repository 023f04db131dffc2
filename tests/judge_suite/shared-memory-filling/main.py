from raw import honest

from touchstone_client import serve

written = 0
try:
    for number in range(200):
        with open(f"/dev/shm/{number}", "wb") as file:
            file.write(b"x" * 2**20)
            file.flush()
        written += 1
except OSError as error:
    print(f"stopped at {written} MiB: {error}", flush=True)
serve(honest)
