from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return tensor(honest(x), size=(len(x) * 16 + 8, -1, 2**63, 8)[call % 4])


serve(answer)
