from raw import honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return tensor(honest(x), header_length=("999999999", "-1", "1e3", "٣")[call % 4].encode().decode("latin-1"))


serve(answer)
