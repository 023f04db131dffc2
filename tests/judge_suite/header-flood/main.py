from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Padding: " + b"x" * 1000 + b"\r\n")


serve(answer)
