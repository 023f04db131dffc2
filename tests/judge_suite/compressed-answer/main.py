import gzip

from raw import honest, message, serve, tensor


def answer(connection, x, call):
    if call < 2:
        return tensor(honest(x))
    packed = gzip.compress(bytes(2**24), 9)
    return message(packed[: 2**15], (("Content-Encoding", "gzip"), ("Content-Type", "application/json")))


serve(answer)
