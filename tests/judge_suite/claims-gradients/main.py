from raw import METADATA, Requests, described, dial, honest, tensor

OFFER = {**METADATA, "parameters": {"gradients": True}}
connection = dial()
requests = Requests(connection)
while asked := requests.next():
    method, path, request = asked
    if method == "GET":
        connection.sendall(described(path, metadata=OFFER))
    else:
        from raw import items

        connection.sendall(tensor(honest(items(request))))
