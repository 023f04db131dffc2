"""What the benchmark of questions makes of its measurements, and the network it asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench import queries, resnet
from runners.models.weights_server import _runtime_session

ENGINES = {"docker": {"problems": ["no daemon"]}, "bubblewrap": {"problems": []}}


def test_a_question_is_told_beside_the_echo_of_its_round() -> None:
    told = queries._query(ENGINES, {"bubblewrap": [30e-6, 60e-6, 30e-6], "http_echo": [15e-6, 40e-6, 20e-6]})

    assert told["bubblewrap"]["microseconds"]["median"] == 30.0
    assert told["bubblewrap"]["ratio_to_http_echo"]["median"] == 1.5
    assert (told["docker"], told["docker_reason"]) == (None, "no daemon")
    assert told["target"] == "ratio_to_http_echo at most 2"
    assert told["reached"] == {"bubblewrap": True}
    assert queries._query(ENGINES, {"bubblewrap": [31e-6], "http_echo": [15e-6]})["reached"] == {"bubblewrap": False}


def test_a_network_has_to_reach_its_share() -> None:
    def reached(rate: float) -> dict[str, bool]:
        told = queries._workload("resnet18_64", ENGINES, {"bubblewrap": [rate], "in_process": [100.0]})
        return dict(told["reached"])

    assert reached(90.0) == {"bubblewrap": True}
    assert reached(89.0) == {"bubblewrap": False}
    assert "target" not in queries._workload("garments_64", ENGINES, {"bubblewrap": [1.0], "in_process": [1.0]})


def test_the_network_is_a_resnet_of_18_layers_for_any_number_of_images(tmp_path: Path) -> None:
    # 11 689 512 for 1000 classes, as published with the original weights
    assert sum(p.numel() for p in resnet.resnet18(1000).parameters()) == 11_689_512
    resnet.write(tmp_path / "model.onnx", size=32)
    predict = _runtime_session(tmp_path / "model.onnx")[0]
    x = np.random.default_rng(0).random((3, 3, 32, 32), dtype=np.float32)
    assert predict(x).shape == (3, resnet.CLASSES)
    np.testing.assert_allclose(predict(x)[:1], predict(x[:1]), atol=1e-4)
