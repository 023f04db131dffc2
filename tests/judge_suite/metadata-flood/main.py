from raw import Requests, described, dial

requests = Requests(dial())
while asked := requests.next():
    if not asked[1].endswith("/model"):
        requests.connection.sendall(described(asked[1]))
        continue
    requests.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    while True:
        requests.connection.sendall(b"{" * 65536)
