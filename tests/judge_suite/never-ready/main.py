from raw import Requests, as_json, dial

requests = Requests(dial())
while requests.next():
    requests.connection.sendall(as_json({"ready": False}, status=503))
