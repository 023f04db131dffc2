import os

from raw import honest

from touchstone_client import serve

count = 0
try:
    while count < 1_000_000:
        os.close(os.open(f"/tmp/{count}", os.O_CREAT | os.O_WRONLY))
        count += 1
except OSError as error:
    print(f"stopped at {count} files: {error}", flush=True)
serve(honest)
