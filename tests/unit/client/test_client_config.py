from __future__ import annotations

import json
import stat

import pytest

from touchstone_client import config
from touchstone_client.errors import ClientError, ExitCode


def test_stored_for_the_owner_only_and_read_back() -> None:
    place = config.store(url="https://a.example", token="ts_1")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert config.resolve() == config.Credentials("https://a.example", "ts_1", str(place))


def test_a_token_is_never_sent_to_another_server() -> None:
    config.store(url="https://a.example", token="ts_1")
    assert config.resolve(url="https://b.example").token == ""


def test_options_win_over_environment_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    config.store(url="https://a.example", token="ts_file")
    monkeypatch.setenv("TOUCHSTONE_URL", "https://b.example/")
    monkeypatch.setenv("TOUCHSTONE_TOKEN", "ts_env")
    assert config.resolve() == config.Credentials("https://b.example", "ts_env", "TOUCHSTONE_TOKEN")
    found = config.resolve(url="https://c.example", token="ts_option")
    assert (found.url, found.token) == ("https://c.example", "ts_option")


def test_no_server_is_a_usage_error_with_the_next_step() -> None:
    with pytest.raises(ClientError, match="No server") as caught:
        config.resolve()
    assert caught.value.exit_code == ExitCode.USAGE
    assert "touchstone login" in caught.value.hint


@pytest.mark.parametrize("url", ["a.example", "ftp://a.example", "https://", "https://u:p@a.example", "https://a/?x=1"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ClientError, match="not the address"):
        config.normalise_url(url)


def test_forget_removes_and_says_whether_there_was_one() -> None:
    config.store(url="https://a.example", token="ts_1")
    assert config.forget(url="https://a.example") is True
    assert config.forget(url="https://a.example") is False
    assert json.loads(config.path().read_text())["servers"] == {}


def test_a_damaged_file_is_named() -> None:
    config.store(url="https://a.example", token="ts_1")
    config.path().write_text("{")
    with pytest.raises(ClientError, match=r"credentials\.json"):
        config.resolve()


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("http://a.example", True),
        ("https://a.example", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
    ],
)
def test_cleartext(url: str, clear: bool) -> None:
    assert config.is_cleartext(url) is clear
