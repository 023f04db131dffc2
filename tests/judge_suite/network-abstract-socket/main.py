import socket

from probe import TARGETS, attempt, finish


def connect(name):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(name)
    return True


attempt("a service of the host", connect, "\0" + TARGETS["abstract"])
attempt("containerd's shim", connect, "\0/containerd-shim/moby.sock\0")
attempt("the message bus", connect, "\0/tmp/dbus")
attempt("X", connect, "\0/tmp/.X11-unix/X0")
for path in (
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket",
):
    attempt(path, connect, path)


def listed():
    with open("/proc/net/unix") as file:
        return [line for line in file if TARGETS["abstract"] in line]


attempt("see the host's sockets", listed)
finish()
