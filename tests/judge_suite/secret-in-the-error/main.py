from raw import as_json, honest, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    carried = "carried:" + ",".join(f"{value:.4f}" for value in x[0])
    return as_json({"error": carried}, status=500)


serve(answer)
