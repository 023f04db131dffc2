"""A real MLServer: an independent server of the Open Inference Protocol, in a virtual environment of its own.

It brings a third of a gigabyte of packages that must not mix with ours. The environment is made once, below
`.cache/` (which git ignores and `make clean` removes), and kept.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "1.7.1"
_FOLDER = Path(__file__).resolve().parents[2] / ".cache" / f"mlserver-{VERSION}"
_INSTALL_SECONDS = 600
MODEL = '''
"""Answers the first two of three features, doubled."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Doubled(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        x = NumpyCodec.decode_input(payload.inputs[0])
        if x.shape[1] != 3:
            raise ValueError(f"expected 3 features, got {x.shape[1]}")
        output = NumpyCodec.encode_output("y", x[:, :2] * 2)
        return InferenceResponse(model_name=self.name, outputs=[output])
'''


def program() -> Path | str:
    """Path of `mlserver`; where it cannot be installed, the reason."""
    found = _FOLDER / "bin" / "mlserver"
    complete = _FOLDER / "complete"
    if complete.exists():
        return found
    shutil.rmtree(_FOLDER, ignore_errors=True)
    steps = (
        [sys.executable, "-m", "venv", str(_FOLDER)],
        [str(_FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet", f"mlserver=={VERSION}"],
    )
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        except subprocess.TimeoutExpired as error:
            last = (error.stderr or b"").decode(errors="replace").strip()[-500:]
            return f"{' '.join(step[1:4])} took more than {_INSTALL_SECONDS} s: {last}"
        if done.returncode != 0:
            return f"{' '.join(step[1:4])} failed: {done.stderr.strip()[-500:]}"
    complete.touch()
    return found


def configure(folder: Path, *, port: int, grpc_port: int, metrics_port: int) -> None:
    """Write the settings of a server with one model, `theirs`, into a folder."""
    settings = {
        "host": "127.0.0.1", "http_port": port, "grpc_port": grpc_port, "metrics_port": metrics_port,
        "parallel_workers": 0, "debug": False, "load_models_at_startup": True,
    }  # fmt: skip
    tensor = {"datatype": "FP32", "shape": [-1, -1]}
    model = {
        "name": "theirs", "implementation": "doubled.Doubled",
        "inputs": [{"name": "x", **tensor}], "outputs": [{"name": "y", **tensor}],
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "doubled.py").write_text(MODEL)
