from probe import TARGETS, attempt, can_write, finish

PLACES = (
    "/",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/etc",
    "/bin",
    "/lib",
    "/opt",
    "/dev",
    "/run",
    "/run/touchstone",
    "/submission",
    "/var",
    "/var/tmp",
    "/var/run",
    "/home",
    "/srv",
    "/mnt",
    "/sys",
    "/proc",
    "/" + "root",
    TARGETS["folder"],
    "/proc/1/root",
    "/proc/1/cwd",
    "/opt/touchstone/lib",
)
for place in PLACES:
    attempt(place, can_write, f"{place}/{TARGETS['breach']}")
for path in ("/etc/passwd", "/etc/ld.so.preload", "/usr/bin/python3", "/submission/main.py"):
    attempt(path, lambda path=path: open(path, "r+b").close() or True)
finish()
