from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return tensor(honest(x) * 3 - 1)


serve(answer)
