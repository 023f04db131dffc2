import json

from raw import honest, message, serve, tensor

with open("targets.json") as file:
    TARGETS = json.load(file)


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return message(b"", (("Location", f"http://127.0.0.1:{TARGETS['tcp_port']}/"),), status=307)


serve(answer)
