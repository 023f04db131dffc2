"""The entries of a layer are counted as an engine would see them, in whatever pieces the bytes come."""

from __future__ import annotations

import io
import random
import tarfile

import pytest

from runners.intake.layer_entries import LayerEntries


def _count(raw: bytes, *, pieces: int = 2**20) -> LayerEntries:
    entries = LayerEntries()
    for at in range(0, len(raw), pieces):
        entries.update(raw[at : at + pieces])
    entries.finish()
    return entries


def _tar(form: int) -> tuple[bytes, int]:
    """A tar with every kind of entry that layers have, and their number."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for n, size in enumerate((0, 1, 511, 512, 513, 70_000)):
            entry = tarfile.TarInfo(f"{'long/' * 40}{n}")
            entry.size = size
            archive.addfile(entry, io.BytesIO(b"\x01" * size))
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            entry = tarfile.TarInfo(f"kind-{kind!r}")
            entry.type, entry.linkname = kind, "a" * 150
            archive.addfile(entry)
    return out.getvalue(), 11


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pieces", [1, 7, 512, 1000, 2**20])
def test_every_format_in_any_pieces(form: int, pieces: int) -> None:
    if form == tarfile.USTAR_FORMAT:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=form) as archive:
            for n in range(5):
                entry = tarfile.TarInfo(f"file{n}")
                entry.size = 600
                archive.addfile(entry, io.BytesIO(bytes(600)))
        content, expected = raw.getvalue(), 5
    else:
        content, expected = _tar(form)

    found = _count(content, pieces=pieces)

    assert (found.count, found.fault) == (expected, "")


def test_what_follows_the_end_is_not_read() -> None:
    assert _count(_tar(tarfile.PAX_FORMAT)[0] + b"no tar at all" * 1000).fault == ""


def test_an_empty_layer_has_no_entries() -> None:
    assert (_count(bytes(1024)).count, _count(bytes(1024)).fault) == (0, "")


@pytest.mark.parametrize("cut", [100, 600, 1100])
def test_a_layer_that_is_cut_off(cut: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = 5000
        archive.addfile(entry, io.BytesIO(bytes(5000)))

    assert "cut off" in _count(out.getvalue()[:cut]).fault


def test_a_header_larger_than_memory_is_refused() -> None:
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, 2**21

    assert "extended header" in _count(head.tobuf(tarfile.USTAR_FORMAT)).fault


def test_a_sparse_file_is_refused() -> None:
    head = tarfile.TarInfo("sparse")
    head.type = tarfile.GNUTYPE_SPARSE

    assert "sparse" in _count(head.tobuf(tarfile.GNU_FORMAT)).fault


def test_sizes_that_do_not_fit_octal_digits_are_read() -> None:
    entry = tarfile.TarInfo("large")
    entry.size = 2**34
    found = LayerEntries()
    found.update(entry.tobuf(tarfile.GNU_FORMAT))
    found.update(bytes(2**16))
    assert (found.count, found.fault) == (1, "")


def test_noise_never_raises() -> None:
    for seed in range(200):
        source = random.Random(seed)
        raw = bytearray(_tar(tarfile.PAX_FORMAT)[0])
        for _ in range(20):
            raw[source.randrange(len(raw))] = source.randrange(256)
        _count(bytes(raw), pieces=source.choice((1, 100, 4096)) if seed % 20 == 0 else 4096)


def _with_pax(records: bytes, following: bytes) -> bytes:
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, len(records)
    padding = bytes(-len(records) % 512)
    return head.tobuf(tarfile.USTAR_FORMAT) + records + padding + following + bytes(1024)


def _record(key: str, value: str) -> bytes:
    size = len(key) + len(value) + 3
    return next(
        line for n in range(size, size + 9) if len(line := f"{n} {key}={value}\n".encode()) == n
    )  # fmt: skip


def test_a_size_inside_another_records_value_hides_no_entries() -> None:
    files = b"".join(tarfile.TarInfo(f"file{n}").tobuf(tarfile.USTAR_FORMAT) for n in range(2001))
    forged = _record("comment", "x\n16 size=1024000\n")

    assert _count(_with_pax(forged, files)).count == 2001


@pytest.mark.parametrize(
    "records",
    [b"12 size=5\n", b"x size=5\n", b"0 a=b\n", b"9 size=5\n\n", b"6 a=b ", b"5 ab\n", b"7 size=\n", b"\0" * 20,
     _record("size", "-5"), _record("size", "1e3"), _record("GNU.sparse.realsize", "5")],
)  # fmt: skip
def test_pax_records_that_engines_cannot_read(records: bytes) -> None:
    assert "extended header" in _count(_with_pax(records, tarfile.TarInfo("a").tobuf())).fault


def test_counting_stops_above_the_limit() -> None:
    entries = LayerEntries(limit=10)
    entries.update(b"".join(tarfile.TarInfo(f"file{n}").tobuf() for n in range(100)))
    entries.finish()

    assert (entries.count, entries.fault) == (11, "")
