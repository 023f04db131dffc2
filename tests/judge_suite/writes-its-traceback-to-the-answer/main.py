from raw import as_json, honest, serve, tensor


def answer(connection, x, call):
    return tensor(honest(x)) if call < 2 else as_json({"error": "out of luck"})


serve(answer)
