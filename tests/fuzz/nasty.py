"""Files as an attacker would make them: names that lead elsewhere, lies in headers, bombs, things cut short.

`SEEDS` maps a door (see doors.py) to the files with which the search for more begins.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from functools import cache
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq

NAMES = [
    "/etc/passwd", "../up", "a/../../up", "..\\up", "C:\\x", "C:x", "\\\\host\\share", "a//b", "./a", "a/./b", "a/",
    "", ".", "..", "/", "a" * 300, "/".join("d" * 40), "con", "aux.txt", "nul\x00x", "new\nline", "tab\tx",
    "\u202egnp.exe",
    "é", "e\u0301", "É", "MAIN.PY", "main.py ", "main.py.", "ﬁle", "file", "\ufffd", "-rf", "~",
    "main.py/x", "a:b", "*?", "\u0130", "i\u0307", "ß", "SS",
]  # fmt: skip


def _zip(entries: Iterable[tuple[str, bytes]], **fields: int) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # two entries of one name are what some of these are about
        for name, data in entries:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            for key, value in fields.items():
                setattr(info, key, value)
            archive.writestr(info, data)
    return out.getvalue()


def _lying(raw: bytes, *changes: tuple[bytes, int, str, int]) -> bytes:
    """Change fields after a signature: (signature, offset, struct format, value)."""
    made = bytearray(raw)
    for signature, offset, form, value in changes:
        at = made.find(signature)
        if at >= 0:
            struct.pack_into(form, made, at + offset, value)
    return bytes(made)


_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def _zip64(raw: bytes, entries: int, size: int, offset: int, *, small: bool = False, at: int = -1) -> bytes:
    """Insert a zip64 end with the given numbers before the usual one, which refers to it unless it is to be `small`."""
    place = raw.rfind(_END)
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, place if at < 0 else at, 1)
    full = ((_END, 8, "<H", 0xFFFF), (_END, 10, "<H", 0xFFFF), (_END, 12, "<I", 2**32 - 1), (_END, 16, "<I", 2**32 - 1))
    return raw[:place] + end64 + locator + (raw[place:] if small else _lying(raw[place:], *full))


def zips() -> list[bytes]:
    """Zip archives of code and of competitions."""
    good = _zip([("main.py", b"print(1)\n"), ("lib/a.py", b"x = 1\n")])
    many = _zip([(f"f{n}", b"") for n in range(300)])
    nested = good
    for _ in range(4):
        nested = _zip([("main.py", b"x"), ("inner.zip", nested)])
    bomb = _zip([("main.py", bytes(2**24))])
    return [
        good, many, nested, bomb, good[:-1], good[: len(good) // 2], good + b"trailing garbage", b"MZ" + good,
        good + good, b"", b"PK", _END + bytes(18), _END + b"\xff" * 18, good[:-22] + _END + b"\xff" * 18,
        _zip([("main.py", b"1"), ("main.py", b"2")]), _zip([("main.py", b"1"), ("MAIN.PY", b"2")]),
        _zip([("é", b"1"), ("e\u0301", b"2")]), _zip([("a", b"1"), ("a/b", b"2")]), _zip([("a/", b""), ("a", b"2")]),
        _zip([("link", b"/etc/passwd")], external_attr=0o120777 << 16),
        _zip([("dev", b"")], external_attr=0o020666 << 16), _zip([("fifo", b"")], external_attr=0o010666 << 16),
        _zip([("suid", b"x")], external_attr=0o104755 << 16),
        _lying(good, (_CENTRAL, 24, "<I", 2**32 - 2)), _lying(good, (_CENTRAL, 20, "<I", 2**32 - 2)),
        _lying(good, (_CENTRAL, 42, "<I", 2**31)), _lying(good, (_CENTRAL, 28, "<H", 65535)),
        _lying(good, (_CENTRAL, 30, "<H", 65535)), _lying(good, (_CENTRAL, 8, "<H", 1)),
        _lying(good, (_CENTRAL, 10, "<H", 99)), _lying(good, (_LOCAL, 26, "<H", 65535)),
        _lying(good, (_LOCAL, 18, "<I", 0)), _lying(good, (_LOCAL, 14, "<I", 0)), _lying(good, (_CENTRAL, 16, "<I", 0)),
        _lying(good, (_END, 8, "<H", 65535), (_END, 10, "<H", 65535)), _lying(good, (_END, 16, "<I", 2**32 - 2)),
        _lying(good, (_END, 12, "<I", 2**32 - 2)), good.replace(b"main.py", b"../x.py", 1),
        good.replace(b"main.py", b"main\x00py"), good.replace(b"main.py", b"\xff\xfe\x00\xc3\xa4py"),
        _zip64(good, 2, 200, 0), _zip64(good, 2, 2**22, 0, small=True), _zip64(good, 2, 200, 0, at=2**64 - 1),
        _zip64(good, 2**63, 2**63, 2**63), _zip64(good, 2, 2**40, 0), _zip64(good, 0, 0, 0),
        *(_zip([(name, b"x"), ("main.py", b"y")]) for name in NAMES),
    ]  # fmt: skip


def _header(
    name: bytes, kind: bytes = b"0", size: bytes = b"00000000000", link: bytes = b"", magic: bytes = b"ustar\x0000"
) -> bytes:
    """A tar header written by hand, with a right checksum."""
    raw = bytearray(512)
    raw[0 : len(name[:100])] = name[:100]
    raw[100:107], raw[108:115], raw[116:123] = b"0000644", b"0000000", b"0000000"
    raw[124 : 124 + len(size)] = size
    raw[136:147] = b"00000000000"
    raw[156:157] = kind
    raw[157 : 157 + len(link[:100])] = link[:100]
    raw[257:265] = magic
    raw[148:156] = b"        "
    raw[148:156] = b"%06o\x00 " % sum(raw)
    return bytes(raw)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def _pax(**records: str) -> bytes:
    body = b""
    for key, value in records.items():
        text = f" {key.replace('_', '.')}={value}\n".encode()
        size = len(text) + 1
        while len(str(size)) + len(text) != size:
            size = len(str(size)) + len(text)
        body += str(size).encode() + text
    return _header(b"pax", b"x", b"%011o" % len(body)) + _pad(body)


def _image() -> dict[str, bytes]:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo("app/data")
        entry.size = 100
        archive.addfile(entry, io.BytesIO(bytes(100)))
    raw = layer.getvalue()
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["python", "main.py"], "User": "1000"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(raw).hexdigest()}"]},
    }).encode()  # fmt: skip
    name, layer_name = f"{sha256(config).hexdigest()}.json", f"{sha256(raw).hexdigest()}/layer.tar"
    manifest = json.dumps([{"Config": name, "RepoTags": ["x:1"], "Layers": [layer_name]}]).encode()
    return {layer_name: raw, name: config, "manifest.json": manifest}


def _tar(files: Iterable[tuple[str, bytes]], *extra: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", errors="surrogateescape") as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for entry in extra:
            archive.addfile(entry)
    return out.getvalue()


def _special(kind: bytes, link: str = "") -> bytes:
    entry = tarfile.TarInfo("sha256")
    entry.type, entry.linkname = kind, link
    return _tar(_image().items(), entry)


def tars() -> list[bytes]:
    """`docker save` archives, plain and gzip."""
    image = _image()
    good = _tar(image.items())
    layer = next(iter(image))
    packed = {name: gzip.compress(data) if name == layer else data for name, data in image.items()}
    huge = b"%011o" % (8**11 - 1)
    sparse = _pax(
        GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_name="manifest.json", GNU_sparse_realsize="9" * 18
    )
    return [
        good, gzip.compress(good), _tar(packed.items()), good[:700], good[:-600], gzip.compress(good)[:-9], b"",
        gzip.compress(good) + gzip.compress(good), gzip.compress(good) + b"garbage", good + good, bytes(10240),
        gzip.compress(bytes(2**24)), gzip.compress(gzip.compress(good)), b"\x1f\x8b", b"\x1f\x8b" + bytes(40),
        _special(tarfile.SYMTYPE, "/etc/passwd"), _special(tarfile.LNKTYPE, "../../x"), _special(tarfile.CHRTYPE),
        _special(tarfile.BLKTYPE), _special(tarfile.FIFOTYPE), _special(tarfile.CONTTYPE), _special(b"Z"),
        _header(b"manifest.json", b"0", huge) + bytes(1024), _header(b"x", b"L", huge) + bytes(1024),
        _header(b"x", b"x", huge) + bytes(1024), _header(b"x", b"g", b"%011o" % 2**17) + bytes(2**17),
        _header(b"x", b"K", b"%011o" % 700) + bytes(1024),
        _header(b"x", b"L", b"%011o" % 10) + b"../../up\x00" + bytes(503),
        _header(b"x", b"0", b"\x80" + b"\xff" * 11) + bytes(512), _header(b"x", b"0", b"\xff" * 12) + bytes(512),
        _header(b"x", b"0", b"99999999999") + bytes(512), _header(b"x", b"0", b"-0000000001") + bytes(512),
        _header(b"x", b"S", b"%011o" % 512) + b"\x01" * 512, sparse + good, _pax(path="../../up") + good,
        _pax(size="99999999999999999999") + good, _pax(size="-1") + good, _pax(size="x", mtime="nan") + good,
        _pax(path="manifest.json", linkpath="/etc/passwd") + good, _pax(hdrcharset="BINARY", path="é") + good,
        _pax(uid="1e999", gid="inf", mtime="1e400") + good, _pax(GNU_sparse_map="0,1," * 100 + "x") + good,
        _header(b"x", b"x", b"%011o" % 9) + b"99999 a=b" + bytes(503) + good,
        _header(b"x", b"x", b"%011o" % 6) + b"0 a=b\n" + bytes(506) + good,
        _header(b"x", b"x", b"%011o" % 9) + b"9 a\x00=\xffb\n" + bytes(503) + good,
        *(_tar([(name or "x", b"1"), *image.items()]) for name in NAMES if "\x00" not in name),
        _tar([*image.items(), *image.items()]),
        _tar([*list(image.items())[:2], ("manifest.json", b"[" * 100_000)]),
        _tar([*list(image.items())[:2], ("manifest.json", b'[{"Config": 1, "Layers": {"a": 1}}]')]),
        _tar([*list(image.items())[:2], ("manifest.json", b'[{"Config": "x.json", "Layers": [null]}]')]),
        _tar([*list(image.items())[:2], ("manifest.json", b"1e999999")]),
        _tar([*list(image.items())[:2], ("manifest.json", b"9" * 5000)]),
    ]  # fmt: skip


def tables() -> list[bytes]:
    """Prediction files: CSV and Parquet."""
    csv = b"id,score\n1,0.1\n2,0.9\n3,0.5\n"
    out = io.BytesIO()
    pq.write_table(pa.table({"id": ["1", "2", "3"], "score": [0.1, 0.9, 0.5]}), out)
    good = out.getvalue()
    out = io.BytesIO()
    pq.write_table(pa.table({"id": ["1"] * 100_000, "score": [0.0] * 100_000}), out, compression="zstd")
    repeated = out.getvalue()
    out = io.BytesIO()
    nested = pa.array([{"a": [{"b": 1}]}] * 3)
    pq.write_table(pa.table({"id": pa.array([b"1", b"\xff", None]), "score": nested}), out)
    return [
        csv, good, repeated, out.getvalue(), good[:-1], good[:-8], good[4:], good + b"x", b"PAR1", b"PAR1PAR1",
        good[:-8] + struct.pack("<I", 2**31) + b"PAR1", good[:-8] + struct.pack("<I", 0) + b"PAR1",
        good[:-8] + struct.pack("<I", 2**32 - 1) + b"PAR1", b"PAR1" + bytes(100) + struct.pack("<I", 100) + b"PAR1",
        b"", b"\n", b"\x00", b"id", b"id\n", b"id,score", b"id,score\n", b'id,score\n"1,0.1', b'id,score\n1,"0.1\n2',
        b"id,score\n1\n", b"id,score\n1,2,3\n", b"id,id\n1,2\n", b"id,score\n" + b"1,0.1\n" * 5000,
        b"id,score\n1,nan\n2,inf\n3,-inf\n", b"id,score\n1,1e999\n2,-1e999\n3,0x1\n",
        b"id,score\n1,1_0\n2,\xd9\xa1\n3,1\n",
        b"\xef\xbb\xbf" + csv, csv.decode().encode("utf-16"), csv.replace(b"\n", b"\r"), csv.replace(b"\n", b"\r\n"),
        csv.replace(b",", b";"), csv.replace(b",", b"\t"), b"id,score\n\xff\xfe,0.1\n", b"id,score\n1\x002,0.1\n",
        b"id," + b",".join(b"c%d" % n for n in range(3000)) + b"\n", b"id,score\n" + b"9" * 70_000 + b",1\n",
        b"id,prediction\n1,yes\n2,no\n3,maybe\n", gzip.compress(csv), zlib.compress(csv), b"," * 10_000,
        b'"' * 10_001, b"id,score\n" + b'"' * 3 + b",\n", b"score\n1\n", b"ID,Score\n1,0.1\n",
    ]  # fmt: skip


_YAML = """\
format: 1
slug: tiny
title: Tiny
task: {kind: binary, classes: ["no", "yes"], positive: "yes"}
input: {kind: features, features: [a, b]}
data: {test: {path: data/test, visibility: hidden}}
phases: [{slug: main, title: Main, opens: 2030-01-01T00:00:00Z, split: test}]
"""


def yamls() -> list[bytes]:
    """Texts of competitions."""
    laughs = "\n".join(["a0: &a0 [x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)])
    return [
        _YAML.encode(), b"", b"\x00", b"\xff\xfe", b"---\n---\n", b"a: &a\n  b: *a\n", laughs.encode(), b"[" * 2000,
        b"{" * 2000, b"- " * 2000, b"a: !!python/object/apply:os.system [id]\n", b"a: !!binary x\n", b"a: !!int x\n",
        b"a: 0x" + b"f" * 9000, b"a: " + b"9" * 9000, b"? [a]\n: b\n", b"a: 1\na: 2\n", b"<<: {a: 1}\n", b"<<: *x\n",
        b"a: 2030-99-99\n", b"a: 1:60:60\n", b"a: .nan\n", b"a: .inf\n", b"a: 1e99999\n", b"!!set {a, b}", b"!!omap []",
        b"%YAML 9.9\n---\na\n", b"%TAG ! x\n", b"a:\tb\n", b"\xef\xbb\xbfa: 1\n", b"a: |\n" + b" x\n" * 100,
        b"@x", b"`x",
        b"a: \"\\ud800\"\n", b"a: \"\\x00\"\n", b"a: \"\\U00110000\"\n", b"\"" + b"a" * 5000, b"a: '\n", b"!<tag:x> y",
        _YAML.replace("test", "../../etc").encode(), _YAML.replace("data/test", "/etc").encode(),
        _YAML.replace("main", "M" * 9000).encode(), _YAML.replace("binary", "\u202e").encode(),
        _YAML.replace("2030", "99999").encode(), _YAML.replace("2030-01-01T00:00:00Z", "{}").encode(),
    ]  # fmt: skip


def bundles() -> list[bytes]:
    """Zips of competitions."""
    data = b"id,a,b\n1,0.1,0.2\n2,0.3,0.4\n"
    files = [
        ("competition.yml", _YAML.encode()),
        ("data/test/inputs.csv", data),
        ("data/test/labels.csv", b"id,label\n1,yes\n2,no\n"),
    ]
    good = _zip(files)
    return [
        good, _zip([(f"top/{name}", raw) for name, raw in files]), good[:-30],
        *(_zip([("competition.yml", text), *files[1:]]) for text in yamls()),
        *(_zip([files[0], ("data/test/inputs.csv", raw), files[2]]) for raw in tables()[:20]),
        *(_zip([*files, (name, b"x")]) for name in NAMES),
        _zip([files[0], ("data/test/inputs.parquet", tables()[1]), ("data/test/inputs.csv", data), files[2]]),
        _zip([files[0], ("data/test", b"a file"), files[2]]),
    ]  # fmt: skip


def jsons() -> list[bytes]:
    """Layers: tar files as bytes come, which are hashed and counted as they pass."""
    return [*_image().values(), *(gzip.compress(raw) for raw in _image().values()), *tars()[:40]]


@cache
def seeds(door: str) -> list[bytes]:
    """The files with which the search at a door begins."""
    made = {
        "code": zips, "zip": zips, "bundle": bundles, "container": tars, "rewrite": tars, "layer": jsons,
        "predictions": tables, "yaml": yamls,
    }  # fmt: skip
    return made[door]()
