from touchstone_client import serve


def predict(x):
    while True:
        x = x + 1


serve(predict)
