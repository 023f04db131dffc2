"""A competition leaves as a bundle and comes back the same: identical bytes, identical digest."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from runners.spec import check_folder
from tests.factories.server import bundle_folder, competition_make, participation_make, user_make
from touchstone.audit.models import AuditEntry
from touchstone.competitions.exporting import competition_export
from touchstone.competitions.models import Competition
from touchstone.competitions.services import competition_import
from touchstone.competitions.writer import (
    Entry,
    competition_entries,
    competition_folder,
    folder_write,
    text_entry,
    zip_stream,
)
from touchstone.core.errors import NotFound
from touchstone.core.storage import CHUNK

pytestmark = pytest.mark.django_db

READY = Path(__file__).parents[3] / "competitions"
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 32


def odd_bundle(folder: Path) -> Path:
    """Everything that a round trip could lose: comments, odd paths, line ends, an empty kit, a picture, a BOM."""
    place = bundle_folder(folder, pages=[{"slug": "p", "title": "P", "file": "./texts/über.md"}],
                          data={"test": {"path": "data/test/", "visibility": "hidden"}},
                          data_card="card.md", image="logo.png")  # fmt: skip
    (place / "texts").mkdir()
    (place / "texts/über.md").write_bytes("Zeile\r\nzwei \U0001f600\r\n\r\n".encode())
    (place / "card.md").write_text("## Uses\n\nNone.\n\n\n## Motivation\n\nLast.")
    (place / "logo.png").write_bytes(PNG)
    (place / "kit/README.md").unlink()
    spec = place / "competition.yml"
    spec.write_bytes(b"\xef\xbb\xbf# a comment that stays\n" + spec.read_bytes() + b"\n# and one at the end\n")
    return place


def exported(competition: Competition) -> bytes:
    return b"".join(zip_stream(entries=competition_entries(competition=competition)))


def forget(competition: Competition) -> None:
    competition.phases.all().delete()
    competition.delete()


@pytest.mark.parametrize("name", ["odd", "recidivism", "garments"])
def test_what_is_exported_imports_identically(tmp_path, name: str) -> None:
    user = user_make()
    folder = odd_bundle(tmp_path) if name == "odd" else READY / name
    first = competition_import(user=user, archive=folder).competition
    archive = exported(first)

    on_top = competition_import(user=user, archive=io.BytesIO(archive))
    competition_folder(competition=first, folder=tmp_path / "written")
    digest, source = first.bundle_digest, (folder / "competition.yml").read_bytes()
    forget(first)
    anew = competition_import(user=user, archive=tmp_path / "written")

    assert (on_top.created, on_top.changed) == (False, False)
    assert anew.created
    assert anew.competition.bundle_digest == digest
    assert exported(anew.competition) == archive
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        assert packed.read("competition.yml") == source
        assert packed.testzip() is None


def test_an_export_is_sent_in_pieces(tmp_path) -> None:
    big = bytes(3 * CHUNK + 17)
    entries = [text_entry("a.txt", "x"), Entry("big.bin", len(big), lambda: io.BytesIO(big)), Entry("empty")]

    pieces = list(zip_stream(entries=entries))

    assert max(map(len, pieces)) < CHUNK + 2**16
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as packed:
        assert packed.namelist() == ["a.txt", "big.bin", "empty/"]
        assert packed.read("big.bin") == big


@pytest.mark.parametrize("path", ["../out.txt", "a/../../out.txt", "/tmp/out.txt", "a\x00b"])
def test_nothing_is_written_outside(tmp_path, path: str) -> None:
    folder_write(entries=[text_entry(path, "x"), text_entry("in.txt", "y")], folder=tmp_path / "inner")

    assert [p.name for p in tmp_path.rglob("*.txt")] == ["in.txt"]


def test_a_file_below_a_file_is_left_out(tmp_path) -> None:
    folder_write(entries=[text_entry("a", "x"), text_entry("a/b", "y"), text_entry("a", "z")], folder=tmp_path / "f")

    assert (tmp_path / "f/a").read_text() == "x"


def test_only_organisers_export() -> None:
    owner = user_make()
    competition = competition_make(owner)
    member = participation_make(competition).user

    for other in (member, user_make(), None):
        with pytest.raises(NotFound):
            competition_export(competition=competition, user=other)
    assert b"".join(competition_export(competition=competition, user=owner)) == exported(competition)
    entry = AuditEntry.objects.get(act="competition.export")
    assert entry.data["digest"] == competition.bundle_digest


@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("stranger", 404)])
def test_the_api_sends_it_to_organisers(client, role: str, status: int) -> None:
    from touchstone.accounts.services import token_create

    people = {"owner": user_make(), "stranger": user_make()}
    competition = competition_make(people["owner"])
    token = token_create(user=people[role], name="t", scopes=["read", "organise"])
    secret = token[1] if isinstance(token, tuple) else token

    answer = client.get(
        f"/api/v1/competitions/{competition.slug}/export", headers={"Authorization": f"Bearer {secret}"}
    )

    assert answer.status_code == status
    if status == 200:
        assert b"".join(answer.streaming_content) == exported(competition)
    else:
        assert json.loads(answer.content)["status"] == 404


def test_a_picture_must_be_one(tmp_path) -> None:
    folder = bundle_folder(tmp_path, image="logo.png")
    (folder / "logo.png").write_text("<svg/>")

    assert [(d.code, d.where) for d in check_folder(folder, data=False).defects] == [("not_a_picture", "image")]
    (folder / "logo.png").write_bytes(PNG)
    assert check_folder(folder, data=False).ok
