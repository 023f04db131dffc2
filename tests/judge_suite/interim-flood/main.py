from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


serve(answer)
