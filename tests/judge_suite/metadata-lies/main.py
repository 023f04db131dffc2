from raw import METADATA, Requests, as_json, described, dial

requests = Requests(dial())
lies = {**METADATA, "inputs": [{"name": ["x"] * 1000}], "outputs": {"name": "y" * 2**16}}
while asked := requests.next():
    path = asked[1]
    requests.connection.sendall(as_json(lies) if path.endswith("/model") else described(path))
