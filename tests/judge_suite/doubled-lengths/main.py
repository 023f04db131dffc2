from raw import honest, serve, tensor


def answer(connection, x, call):
    whole = tensor(honest(x))
    return whole if call < 2 else whole.replace(b"Content-Length", b"Content-Length: 5\r\nContent-Length", 1)


serve(answer)
