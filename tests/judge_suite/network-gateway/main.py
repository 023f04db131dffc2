import socket

from probe import TARGETS, attempt, finish


def connect(host, port):
    socket.create_connection((host, port), timeout=0.4).close()
    return True


for host in TARGETS["gateways"]:
    for port in (TARGETS["tcp_port"], 22, 2375, 5432, 6379):
        attempt(f"{host}:{port}", connect, host, port)
attempt("host.docker.internal", connect, "host.docker.internal", TARGETS["tcp_port"])
attempt("IPv6", connect, "::1", TARGETS["tcp_port"])
finish()
