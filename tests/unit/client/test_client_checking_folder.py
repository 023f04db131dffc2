from __future__ import annotations

from pathlib import Path

import pytest

from touchstone_client.checking_folder import check_container_folder, check_main

SOUND = """\
# syntax: of ours
FROM --platform=linux/amd64 touchstone/base:1 AS build
RUN python -c "print(1)" && \\
    true
FROM touchstone/base:1
COPY main.py weights.npz /app/
COPY --from=build /x /y
ADD https://example.org/a /b
USER 65534:65534
CMD ["python", "main.py"]
"""


def defects(tmp_path: Path, text: str, *, root_images: bool = True) -> list[tuple[str, int | None]]:
    (tmp_path / "Dockerfile").write_text(text)
    for name in ("main.py", "weights.npz"):
        (tmp_path / name).write_text("1\n")
    return [(item.code, item.line) for item in check_container_folder(tmp_path, root_images=root_images)]


def test_a_sound_one(tmp_path: Path) -> None:
    assert defects(tmp_path, SOUND, root_images=False) == []


@pytest.mark.parametrize(
    ("changed", "to", "expected"),
    [
        ("linux/amd64", "linux/arm64", [("architecture", 2)]),
        ("COPY main.py weights.npz", "COPY main.py absent.npz", [("missing_source", 6)]),
        ("USER 65534:65534", "USER root", [("root_user", 9)]),
        ("USER 65534:65534", "VOLUME /data", [("volumes", 9)]),
        ("FROM touchstone/base:1\n", "FROM scratch\n", []),
        ('CMD ["python", "main.py"]', "ENV KEY=ts_0123456789abcdef_secretsecret", [("secret", 10)]),
    ],
)
def test_what_would_be_refused(tmp_path: Path, changed: str, to: str, expected: list[tuple[str, int]]) -> None:
    assert defects(tmp_path, SOUND.replace(changed, to), root_images=False) == expected


def test_nothing_to_build_or_to_start(tmp_path: Path) -> None:
    assert defects(tmp_path, "# nothing\n") == [("no_from", 1)]
    assert defects(tmp_path, "FROM scratch\nCOPY main.py /\n") == [("no_command", 2)]
    (tmp_path / "Dockerfile").unlink()
    assert [item.code for item in check_container_folder(tmp_path, root_images=True)] == ["no_dockerfile"]


def test_the_program_is_read_too(tmp_path: Path) -> None:
    defects(tmp_path, SOUND)
    (tmp_path / "main.py").write_text("x = 1\nif x\n")
    (found,) = check_container_folder(tmp_path, root_images=True)
    assert (found.file, found.line, found.column) == ("main.py", 2, 5)
    assert check_main(tmp_path) == [found]
