import socket

from probe import TARGETS, attempt, finish


def scan(network):
    found = []
    for host in range(1, 30):
        with socket.socket() as connection:
            connection.settimeout(0.02)
            if connection.connect_ex((f"{network}.{host}", 8080)) == 0:
                found.append(host)
    return found


def knock():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0" + TARGETS["neighbour_abstract"])
    return True


for network in ("172.17.0", "172.18.0", "10.0.0", "192.168.0"):
    attempt(f"scan {network}", scan, network)
attempt("the neighbour's abstract socket", knock)
finish()
