import socket

from probe import TARGETS, attempt, finish

QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"


def resolve():
    return socket.getaddrinfo("example.org", 80)


def ask(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(0.5)
        connection.sendto(QUERY, (server, 53))
        return connection.recv(512)


attempt("resolve a name", resolve)
for server in ("127.0.0.11", "127.0.0.53", "1.1.1.1", "8.8.8.8", *TARGETS["gateways"]):
    attempt(f"ask {server}", ask, server)
attempt("multicast", ask, "224.0.0.251")
finish()
