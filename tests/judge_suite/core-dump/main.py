import ctypes
import resource

from touchstone_client import serve

try:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except (OSError, ValueError) as error:
    print(f"no core: {error}", flush=True)
kept = bytearray(32 * 2**20)
serve(lambda x: ctypes.string_at(0))
