import threading
import time

from raw import honest

from touchstone_client import serve

threading.stack_size(64 * 1024)
count = 0
try:
    while count < 20_000:
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
        count += 1
except RuntimeError as error:
    print(f"stopped after {count} threads: {error}", flush=True)
serve(honest)
