"""Changes to files: the ones that break readers of formats."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

_NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
_WORDS = [
    b"../", b"/", b"\x00", b"\xff\xfe", b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07",
    b"\x1f\x8b\x08", b"PAR1", b"ustar", b"00000000000", b"77777777777", b"\x80\xff\xff", b"path=", b"size=",
    b"GNU.sparse.",
    b"nan", b"inf", b"1e999", b'"', b",", b"\n", b"\r", b"&a ", b"*a", b"<<: ", b"!!", b"{", b"[", b": ",
    b"manifest.json",
]  # fmt: skip


def mutated(data: bytes, others: Sequence[bytes], source: random.Random) -> bytes:
    """`data` after one to six changes."""
    made = bytearray(data)
    for _ in range(source.randint(1, 6)):
        _change(made, others, source)
    return bytes(made[: 2**22])


def _change(made: bytearray, others: Sequence[bytes], source: random.Random) -> None:
    at = source.randint(0, len(made))
    span = source.choice([1, 2, 4, 8, 16, 100, 512])
    match source.randrange(9):
        case 0 if made:
            at = source.randrange(len(made))
            made[at] ^= 1 << source.randrange(8)
        case 1 if made:
            made[source.randrange(len(made))] = source.randrange(256)
        case 2:
            made[at:at] = source.choice(_WORDS)
        case 3:
            word = source.choice(_WORDS)
            made[at : at + len(word)] = word
        case 4:
            del made[at : at + span]
        case 5:
            made[at:at] = made[at : at + span] * source.randint(1, 4)
        case 6:
            size, form = source.choice([(2, "H"), (4, "I"), (8, "Q")])
            value = source.choice(_NUMBERS) & (2 ** (8 * size) - 1)
            made[at : at + size] = struct.pack(source.choice("<>") + form, value)
        case 7:
            other = source.choice(others)
            cut = source.randint(0, len(other))
            made[at : at + span] = other[cut : cut + span]
        case _:
            del made[at:]
