"""The cache: fetched once, verified, and never outside the folder."""

import hashlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from runners.contract import FileRef
from runners.errors import RetryableError
from runners.node.cache import Cache


class Source:
    """Serves bytes and counts how often it is asked."""

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.asked: list[str] = []

    def __call__(self, url, target) -> None:
        self.asked.append(url)
        target.write(self.files[url])


def ref(name: str, content: bytes, url: str = "a") -> FileRef:
    return FileRef(name=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content), url=url)


def test_a_file_is_fetched_once_and_put_under_its_name(tmp_path: Path) -> None:
    source = Source(a=b"labels")
    cache = Cache(tmp_path / "cache", limit=10**6)

    cache.materialise([ref("labels.csv", b"labels")], tmp_path / "one", fetch=source)
    cache.materialise([ref("x/labels.csv", b"labels")], tmp_path / "two", fetch=source)

    assert (tmp_path / "one/labels.csv").read_bytes() == b"labels"
    assert (tmp_path / "two/x/labels.csv").read_bytes() == b"labels"
    assert source.asked == ["a"]


def test_what_a_run_gets_is_a_copy(tmp_path: Path) -> None:
    source = Source(a=b"labels")
    cache = Cache(tmp_path / "cache", limit=10**6)
    cache.materialise([ref("f", b"labels")], tmp_path / "one", fetch=source)

    (tmp_path / "one/f").write_bytes(b"forged")
    cache.materialise([ref("f", b"labels")], tmp_path / "two", fetch=source)

    assert (tmp_path / "two/f").read_bytes() == b"labels"


def test_a_damaged_file_is_refused_and_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=10**6)

    with pytest.raises(RetryableError, match="arrived damaged"):
        cache.materialise([ref("f", b"labels")], tmp_path / "one", fetch=Source(a=b"lies!!"))

    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["../f", "/etc/f", "a/../../f", "a\\b", ""])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    cache = Cache(tmp_path / "cache", limit=10**6)

    with pytest.raises(RetryableError, match="not a name"):
        cache.materialise([ref(name, b"x")], tmp_path / "one", fetch=Source(a=b"x"))


def test_trim_removes_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=10)
    old, new = ref("old", b"12345678", "a"), ref("new", b"87654321", "b")
    cache.materialise([old, new], tmp_path / "one", fetch=Source(a=b"12345678", b=b"87654321"))
    os.utime(tmp_path / "cache" / old.sha256[:2] / old.sha256, (1, 1))

    assert cache.trim() == 1
    assert not (tmp_path / "cache" / old.sha256[:2] / old.sha256).exists()
    assert (tmp_path / "cache" / new.sha256[:2] / new.sha256).exists()


def test_only_the_node_may_read_the_cache(tmp_path: Path) -> None:
    Cache(tmp_path / "cache", limit=10)

    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_file_that_another_process_removes_meanwhile_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(a=b"labels")
    cache = Cache(tmp_path / "cache", limit=10**6)
    copy = shutil.copyfile

    def racing(path: Path, target: Path) -> None:
        if len(source.asked) == 1:
            path.unlink()
        copy(path, target)

    monkeypatch.setattr(shutil, "copyfile", racing)
    cache.materialise([ref("f", b"labels")], tmp_path / "one", fetch=source)

    assert (tmp_path / "one/f").read_bytes() == b"labels"
    assert source.asked == ["a", "a"]


def test_a_full_disk_is_the_node_s_fault_when_copying_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache", limit=10**6)
    cache.materialise([ref("f", b"labels")], tmp_path / "one", fetch=Source(a=b"labels"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))

    with pytest.raises(RetryableError, match="disk is too full") as caught:
        cache.materialise([ref("f", b"labels")], tmp_path / "two", fetch=Source())

    assert caught.value.code == "node_disk_full"
