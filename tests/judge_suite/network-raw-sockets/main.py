import socket
import struct

from probe import attempt, finish


def opened(family, kind, protocol=0):
    socket.socket(family, kind, protocol).close()
    return True


def add_address():
    # RTM_NEWADDR for the first interface: 10.9.9.9/24.
    body = struct.pack("BBBBi", socket.AF_INET, 24, 0, 0, 1) + struct.pack("HH4s", 8, 2, socket.inet_aton("10.9.9.9"))
    head = struct.pack("IHHII", 16 + len(body), 20, 0x5 | 0x600, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as connection:
        connection.send(head + body)
        return struct.unpack_from("i", connection.recv(4096), 16)[0] == 0


attempt("packet socket", opened, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
attempt("raw ICMP", opened, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
attempt("raw TCP", opened, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
attempt("a new address", add_address)
finish()
