"""A node says what it lacks before it does anything."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from runners.errors import UserError
from runners.node.config import NodeConfig
from runners.node.kinds import kinds_of


def test_defaults(tmp_path: Path) -> None:
    config = NodeConfig.from_environment(
        {"TOUCHSTONE_URL": "http://h/", "TOUCHSTONE_NODE_TOKEN": "t", "TOUCHSTONE_NODE_DIR": str(tmp_path)}
    )

    assert (config.url, config.queues, config.engine) == ("http://h", ("cpu",), "auto")
    assert config.judge_memory == 16 * 2**30
    assert (config.slots, config.cpus, config.memory) == (1, None, None)
    assert config.lasting == tmp_path / "channels"
    assert config.gpu_locks == Path("/run/lock/touchstone")


@pytest.mark.parametrize(
    ("name", "value"), [("TOUCHSTONE_SLOTS", "0"), ("TOUCHSTONE_SLOTS", "many"), ("TOUCHSTONE_CPUS", "-1")]
)
def test_a_wrong_number_is_named(name: str, value: str) -> None:
    with pytest.raises(UserError, match=name):
        NodeConfig.from_environment({"TOUCHSTONE_URL": "http://h", "TOUCHSTONE_NODE_TOKEN": "t", name: value})


def test_what_runs_may_use_together_can_be_less_than_the_machine() -> None:
    given = {"TOUCHSTONE_SLOTS": "3", "TOUCHSTONE_CPUS": "1.5", "TOUCHSTONE_MEMORY": "4GiB"}
    config = NodeConfig.from_environment({"TOUCHSTONE_URL": "http://h", "TOUCHSTONE_NODE_TOKEN": "t", **given})

    assert (config.slots, config.cpus, config.memory) == (3, 1.5, 2**32)


def test_the_folder_that_nodes_of_a_host_share_can_be_another(tmp_path: Path) -> None:
    given = {"TOUCHSTONE_URL": "http://h", "TOUCHSTONE_NODE_TOKEN": "t", "TOUCHSTONE_GPU_LOCKS": str(tmp_path)}

    assert NodeConfig.from_environment(given).gpu_locks == tmp_path


def test_missing_settings_are_named_together() -> None:
    with pytest.raises(UserError, match="TOUCHSTONE_URL and TOUCHSTONE_NODE_TOKEN") as caught:
        NodeConfig.from_environment({})

    assert "node_create" in caught.value.hint


def test_a_node_without_engine_takes_prediction_files_only() -> None:
    assert kinds_of(None) == ("predictions",)


def test_a_node_that_may_not_call_out_takes_no_endpoints() -> None:
    engine = SimpleNamespace(takes_images=False)

    assert kinds_of(engine, {}) == ("predictions", "model", "code", "endpoint")  # type: ignore[arg-type]
    assert kinds_of(engine, {"TOUCHSTONE_ENDPOINTS": "0"}) == ("predictions", "model", "code")  # type: ignore[arg-type]
