from raw import as_json, honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return as_json({"outputs": [{"name": str(i), "shape": [0], "datatype": "FP64", "data": []} for i in range(20_000)]})


serve(answer)
