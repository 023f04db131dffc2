"""Inputs that do not fit into memory: read in parts, put in a file, and judged without ever being held."""

import errno
import json
import os
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from runners.data import load_split, room
from runners.data.inputs import InputError, read_inputs
from runners.errors import RetryableError
from runners.judge.asking import predict_all
from runners.spec.models import InputSpec, TaskSpec
from tests.factories.runner_models import linear_model

SPEC = InputSpec(kind="array", shape=(2, 3), range=(0, 1))
IDS = np.array([f"i{i}" for i in range(50)])


@pytest.fixture
def tiny(monkeypatch):
    """As if memory held a hundred bytes, and two items at once."""
    monkeypatch.setattr(room, "IN_MEMORY", 100)
    monkeypatch.setattr(room, "CHUNK", 48)


def items(n=50, seed=0):
    return np.random.default_rng(seed).random((n, 2, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", ["float32", "uint8", "by column", "compressed"])
def test_an_array_in_a_file_is_the_array_in_memory(tmp_path, monkeypatch, kind):
    x = items()
    stored = (x * 255).astype(np.uint8) if kind == "uint8" else np.asfortranarray(x) if kind == "by column" else x
    save = np.savez_compressed if kind == "compressed" else np.savez
    save(tmp_path / "inputs.npz", id=IDS, x=stored)
    ids, held = read_inputs(tmp_path / "inputs.npz", SPEC)
    assert type(held) is np.ndarray
    monkeypatch.setattr(room, "IN_MEMORY", 100)
    monkeypatch.setattr(room, "CHUNK", 48)
    (tmp_path / "scratch").mkdir()
    _, mapped = read_inputs(tmp_path / "inputs.npz", SPEC, tmp_path / "scratch")
    assert isinstance(mapped, np.memmap)
    assert list((tmp_path / "scratch").iterdir()) == []  # it has no name, so nothing is left of it
    assert (mapped == held).all()
    assert (ids == IDS).all()
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 0


def test_images_and_other_orders_go_to_a_file_too(tmp_path, tiny):
    folder = tmp_path / "inputs"
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (12, 4, 4), dtype=np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"i{i:02}.png")
    _, x = read_inputs(folder, InputSpec(kind="image", shape=(1, 4, 4), range=(0, 1)))
    assert isinstance(x, np.memmap)
    assert np.allclose(x[:, 0], pixels / 255)
    order = np.random.default_rng(2).permutation(12)
    turned = room.in_order(x, order, None)
    assert isinstance(turned, np.memmap)
    assert (turned == np.asarray(x)[order]).all()
    assert room.in_order(x, np.arange(12), None) is x
    room.release(x, turned)
    assert (turned == np.asarray(x)[order]).all()
    assert np.allclose(room.mean_item(x), np.asarray(x).mean(axis=0))


@pytest.mark.parametrize(("change", "code"), [(np.nan, "not_finite"), (-np.inf, "not_finite"), (1.5, "out_of_range")])
def test_flaws_are_found_in_every_part(tmp_path, tiny, change, code):
    x = items()
    x[37, 1, 2] = change
    np.savez(tmp_path / "inputs.npz", id=IDS, x=x)
    with pytest.raises(InputError) as caught:
        read_inputs(tmp_path / "inputs.npz", SPEC)
    ((found, message, _),) = caught.value.problems
    assert found == code
    assert "i37" in message
    assert message.startswith("1 item ")


def test_a_damaged_array_is_told(tmp_path, tiny):
    np.savez(tmp_path / "inputs.npz", id=IDS, x=items())
    content = bytearray((tmp_path / "inputs.npz").read_bytes())
    start = content.index(items()[20].tobytes())
    content[start] ^= 1
    (tmp_path / "inputs.npz").write_bytes(content)
    with pytest.raises(InputError, match="CRC"):
        read_inputs(tmp_path / "inputs.npz", SPEC)
    with zipfile.ZipFile(tmp_path / "long.npz", "w") as archive:
        for name, array in (("id", IDS), ("x", items())):
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array)
                stream.write(b"more")
    with pytest.raises(InputError, match="follow"):
        read_inputs(tmp_path / "long.npz", SPEC)


def test_a_full_disk_is_nobodys_fault(tmp_path, tiny, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    np.savez(tmp_path / "inputs.npz", id=IDS, x=items())
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{name},no\n" for name in IDS))
    monkeypatch.setattr(os, "posix_fallocate", full)
    task = TaskSpec(kind="binary", classes=("no", "yes"))
    with pytest.raises(RetryableError, match="no room on the disk"):
        load_split(tmp_path, SimpleNamespace(task=task, input=SPEC, attributes={}, aggregate=None))


def test_a_model_gets_the_rows_of_a_file_in_its_memory(tmp_path, tiny):
    np.savez(tmp_path / "inputs.npz", id=IDS, x=items())
    _, x = read_inputs(tmp_path / "inputs.npz", SPEC)
    model = linear_model(np.arange(6.0) - 2)
    found = predict_all(model, x, classes=2, rng=np.random.default_rng(0), progress=lambda *_: None)
    assert np.allclose(found, linear_model(np.arange(6.0) - 2).predict(np.asarray(x)))


_JUDGED = """
import json, resource, sys
from pathlib import Path
from runners.contract import RunSpec, SplitRef, SubmissionRef
from runners.judge import LocalFiles, evaluate
from runners.judge import run
from runners.spec.models import InputSpec, MetricUse, ResourceSpec, SubmissionKind, TaskSpec
from tests.factories.judge_world import FakeEngine, FakeServed

folder = Path(sys.argv[1])
served = FakeServed()
served.predict = lambda x: np.stack([1 - x.mean(axis=(1, 2)), x.mean(axis=(1, 2))], axis=1).astype(float)
import numpy as np

def resident(key):
    text = Path("/proc/self/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(key)).split()[1]) * 1024

run.open_model = lambda *_, **__: served
spec = RunSpec(
    run="r", attempt=1, competition="c", phase="p", seed=1,
    submission=SubmissionRef(id="s", kind=SubmissionKind("model")),
    task=TaskSpec(kind="binary", classes=("no", "yes"), positive="yes"),
    input=InputSpec(kind="array", shape=(256, 1024), range=(0, 1)), attributes={},
    resources=ResourceSpec(time=600), metrics=(MetricUse.model_validate({"use": "performance.accuracy"}),),
    split=SplitRef(name="test", visibility="public", digest="", files=()),
)
(folder / "work").mkdir()
files = LocalFiles(split=folder / "split", sample=None, submission=folder / "submission")
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
found = evaluate(spec=spec, files=files, engine=FakeEngine(), workdir=folder / "work", emit=lambda _: None)
values = {r.key: r.value for r in found.results}
print(json.dumps({"grown": resident("VmHWM") - before, "values": values, "message": found.message}))
"""


def test_a_split_larger_than_its_memory_is_judged(tmp_path):
    """A quarter of a GiB of inputs, and less than 150 MB more in memory than before they were opened."""
    n, shape = 256, (256, 1024)
    split = tmp_path / "split"
    split.mkdir()
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "model.onnx").write_bytes(b"x")
    with zipfile.ZipFile(split / "inputs.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("id.npy", "w") as stream:
            np.lib.format.write_array(stream, np.array([f"i{i:03}" for i in range(n)]))
        with archive.open("x.npy", "w") as stream:
            header = {"shape": (n, *shape), "fortran_order": False, "descr": "<f4"}
            np.lib.format.write_array_header_1_0(stream, header)
            zeros, ones = (np.full(shape, value, dtype=np.float32).tobytes() for value in (0, 1))
            for i in range(n):
                stream.write(ones if i % 2 else zeros)
    rows = "".join(f"i{i:03},{'yes' if i % 2 else 'no'}\n" for i in range(n))
    (split / "labels.csv").write_text("id,label\n" + rows)
    ran = subprocess.run(
        [sys.executable, "-c", _JUDGED, str(tmp_path)], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["values"] == {"performance.accuracy": 1.0}, found["message"]
    assert found["grown"] < 150_000_000
