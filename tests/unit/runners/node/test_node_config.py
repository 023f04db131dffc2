"""A node says what it lacks before it does anything."""

from pathlib import Path

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


def test_missing_settings_are_named_together() -> None:
    with pytest.raises(UserError, match="TOUCHSTONE_URL and TOUCHSTONE_NODE_TOKEN") as caught:
        NodeConfig.from_environment({})

    assert "node_create" in caught.value.hint


def test_a_node_without_engine_takes_prediction_files_only() -> None:
    assert kinds_of(None) == ("predictions",)
