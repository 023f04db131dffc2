import socket

from probe import attempt, finish


def opened(family, kind):
    socket.socket(family, kind, 0).close()
    return True


FAMILIES = {
    "vsock": 40,
    "alg": 38,
    "rds": 21,
    "tipc": 30,
    "can": 29,
    "bluetooth": 31,
    "nfc": 39,
    "x25": 9,
    "kcm": 41,
    "xdp": 44,
}
for name, family in FAMILIES.items():
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
        attempt(f"{name}, type {int(kind)}", opened, family, kind)
finish()
