"""A node's token and queue address may be in files."""

from pathlib import Path

import pytest

from runners.errors import UserError
from runners.node.config import NodeConfig, setting


def test_a_token_in_a_file_is_taken_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("tsn_secret\n")

    config = NodeConfig.from_environment(
        {"TOUCHSTONE_URL": "http://h", "TOUCHSTONE_NODE_TOKEN_FILE": str(tmp_path / "token")}
    )

    assert config.token == "tsn_secret"


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(UserError, match="TOUCHSTONE_BROKER_URL_FILE names /nowhere/queue"):
        setting("TOUCHSTONE_BROKER_URL", {"TOUCHSTONE_BROKER_URL_FILE": "/nowhere/queue"})


def test_nothing_set_is_empty() -> None:
    assert setting("TOUCHSTONE_BROKER_URL", {}) == ""
