from raw import honest, message, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return message(b'{"outputs": [{"name": "y", "shape": [1, 2], "shape": [NaN], "data": ["\\ud800\xff"]}]}')


serve(answer)
