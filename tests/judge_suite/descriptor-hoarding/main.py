import os

from raw import honest, serve

kept = []
try:
    while len(kept) < 100_000:
        kept.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print(f"stopped at {len(kept)} descriptors: {error}", flush=True)
for descriptor in kept[-8:]:
    os.close(descriptor)
serve(lambda connection, x, call: __import__("raw").tensor(honest(x)))
