"""Train a softmax regression on the public split and write one submission of each kind.

    python train.py DATA [OUT]

DATA holds the downloaded splits `train` and `validation`. Needs numpy; `onnx` is optional.
"""

import csv
import sys
from pathlib import Path

import numpy as np

CLASSES = ("t_shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot")


def read_images(path: Path) -> tuple[list[str], np.ndarray]:
    """Ids, and pixels in [0, 1] as (n, 784)."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["id"].tolist(), arrays["x"].reshape(len(arrays["id"]), -1).astype(np.float32) / 255


def read_labels(path: Path) -> np.ndarray:
    """Class indices."""
    with path.open(newline="") as file:
        return np.array([CLASSES.index(row["label"]) for row in csv.DictReader(file)])


def softmax(z: np.ndarray) -> np.ndarray:
    """Rows of logits to rows of probabilities."""
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def train(x: np.ndarray, y: np.ndarray, *, epochs: int = 30, rate: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Mini-batch gradient descent with momentum on the log loss."""
    rng = np.random.default_rng(1)
    weight, bias = np.zeros((x.shape[1], 10), np.float32), np.zeros(10, np.float32)
    moves = [np.zeros_like(weight), np.zeros_like(bias)]
    for _ in range(epochs):
        for part in np.array_split(rng.permutation(len(y)), len(y) // 64):
            error = (softmax(x[part] @ weight + bias) - np.eye(10, dtype=np.float32)[y[part]]) / len(part)
            moves[0] = 0.9 * moves[0] - rate * (x[part].T @ error + 1e-3 * weight)
            moves[1] = 0.9 * moves[1] - rate * error.sum(axis=0)
            weight, bias = weight + moves[0], bias + moves[1]
    return weight, bias


def write_onnx(path: Path, weight: np.ndarray, bias: np.ndarray) -> None:
    """The same model as ONNX: y = flatten(x)·W + b."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "w", "b"], ["y"]),
        ],
        "softmax_regression",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, path)


def main() -> None:
    data = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent
    _, x = read_images(data / "train" / "inputs.npz")
    y = read_labels(data / "train" / "labels.csv")
    weight, bias = train(x, y)

    ids, images = read_images(data / "validation" / "inputs.npz")
    answers = softmax((images @ weight + bias).astype(np.float64))
    with (out / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *(f"p_{name}" for name in CLASSES)])
        writer.writerows([key, *(f"{p:.6f}" for p in row)] for key, row in zip(ids, answers, strict=True))

    (out / "code").mkdir(exist_ok=True)
    np.savez_compressed(out / "code" / "weights.npz", weight=weight, bias=bias)
    try:
        write_onnx(out / "model.onnx", weight, bias)
    except ImportError:
        print("no model.onnx: the package onnx is not installed")
    print(f"trained on {len(y)} images, accuracy on them {np.mean((x @ weight + bias).argmax(1) == y):.3f}")


if __name__ == "__main__":
    main()
