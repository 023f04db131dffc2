from raw import honest, message, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return message(b"[" * 30_000 + b"]" * 30_000)


serve(answer)
