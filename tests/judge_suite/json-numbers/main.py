from raw import as_json, honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    return as_json(
        {
            "outputs": [
                {
                    "name": "y",
                    "shape": list(honest(x).shape),
                    "datatype": "FP64",
                    "data": [["1e999", 10**400, None, {}]] * len(x),
                }
            ]
        }
    )


serve(answer)
