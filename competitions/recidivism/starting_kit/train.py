"""Train a logistic regression on the public split and write one submission of each kind.

    python train.py DATA [OUT]

DATA holds the downloaded splits `train` and `validation`. Needs numpy; `onnx` is optional.
"""

import csv
import sys
from pathlib import Path

import numpy as np

CLASSES = ("no_recidivism", "recidivism")


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    """The ids and the other columns of a CSV file."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [row[0] for row in rows], [row[1:] for row in rows]


def train(x: np.ndarray, y: np.ndarray, *, steps: int = 50, penalty: float = 0.01) -> tuple[np.ndarray, float]:
    """Newton's method on the log loss with a small L2 penalty."""
    design = np.hstack([x, np.ones((len(x), 1))])
    weight = np.zeros(design.shape[1])
    for _ in range(steps):
        score = 1 / (1 + np.exp(-design @ weight))
        gradient = design.T @ (score - y) + penalty * weight
        curvature = (design * (score * (1 - score))[:, None]).T @ design + penalty * np.eye(len(weight))
        weight -= np.linalg.solve(curvature, gradient)
    return weight[:-1], float(weight[-1])


def write_onnx(path: Path, weight: np.ndarray, bias: float) -> None:
    """The same model as ONNX: y = softmax([0, x·w + b])."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    columns = np.stack([np.zeros_like(weight), weight], axis=1).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["z"]),
            helper.make_node("Softmax", ["z"], ["y"], axis=1),
        ],
        "logistic_regression",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", len(weight)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(columns, "w"), numpy_helper.from_array(np.array([0, bias], np.float32), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, path)


def main() -> None:
    data = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent
    x = np.array(read(data / "train" / "inputs.csv")[1], dtype=np.float64)
    y = np.array([CLASSES.index(row[0]) for row in read(data / "train" / "labels.csv")[1]])
    weight, bias = train(x, y)

    ids, rows = read(data / "validation" / "inputs.csv")
    score = 1 / (1 + np.exp(-(np.array(rows, dtype=np.float64) @ weight + bias)))
    with (out / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *(f"p_{name}" for name in CLASSES)])
        writer.writerows([key, f"{1 - p:.6f}", f"{p:.6f}"] for key, p in zip(ids, score, strict=True))

    (out / "code").mkdir(exist_ok=True)
    np.savez_compressed(out / "code" / "weights.npz", weight=weight, bias=bias)
    try:
        write_onnx(out / "model.onnx", weight, bias)
    except ImportError:
        print("no model.onnx: the package onnx is not installed")
    print(f"trained on {len(y)} people, accuracy on them {np.mean((x @ weight + bias > 0) == y):.3f}")


if __name__ == "__main__":
    main()
