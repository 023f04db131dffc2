import time

print("loading", flush=True)
time.sleep(3600)
