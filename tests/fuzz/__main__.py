"""`python -m tests.fuzz [--seconds N] [--door NAME]… [--memory MIB] [--seed N]`

Brings mutated nasty files to every door for a while, and prints how many a second, the slowest and every finding; a
finding is written to var/fuzz. Exit code 1 where something was found.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
import traceback
import warnings
from hashlib import sha256
from pathlib import Path

from tests.fuzz.doors import DOORS, House, house
from tests.fuzz.mutate import mutated
from tests.fuzz.nasty import seeds

_FINDINGS = Path(__file__).parents[2] / "var" / "fuzz"
#: One file that takes longer (in processor time) is a finding too.
_SLOW_SECONDS = 5.0


def main(argv: list[str] | None = None) -> int:
    """Fuzz; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0, help="for all doors together")
    parser.add_argument("--door", action="append", choices=sorted(DOORS))
    parser.add_argument("--memory", type=int, default=3072, help="MiB of address space")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    doors = asked.door or list(DOORS)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (asked.memory * 2**20,) * 2)
    found = 0
    for door in doors:
        found += _search(door, asked.seconds / len(doors), random.Random(f"{door}-{asked.seed}"))
    return 1 if found else 0


def _search(door: str, seconds: float, source: random.Random) -> int:
    corpus, found, count, slowest = list(seeds(door)), set(), 0, 0.0
    until = began = time.monotonic()
    until += seconds
    with house() as home:
        while time.monotonic() < until or count < len(corpus):
            data = corpus[count] if count < len(corpus) else mutated(source.choice(corpus), corpus, source)
            at = time.process_time()
            finding = _knock(home, door, data, traced=count % 20 == 0)
            took = time.process_time() - at
            slowest, count = max(slowest, took), count + 1
            if took > _SLOW_SECONDS:
                finding = finding or f"slow: {took:.1f} s"
            if finding and finding not in found:
                found.add(finding)
                _keep(door, data, finding)
    rate = count / (time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        f"{door}: {count} files, {rate:.0f}/s, slowest {slowest:.2f} s, peak {peak:.0f} MiB, findings {len(found)}\n"
    )
    sys.stdout.flush()
    return len(found)


def _knock(home: House, door: str, data: bytes, *, traced: bool) -> str:
    """What was wrong, in one line that is the same each time; empty where nothing was."""
    try:
        home.knock(door, data, traced=traced)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/runners/" in frame.filename]
        last = ours[-1] if ours else where
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno} {str(error)[:100]!r}"
    return ""


def _keep(door: str, data: bytes, finding: str) -> None:
    _FINDINGS.mkdir(parents=True, exist_ok=True)
    path = _FINDINGS / f"{door}-{sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    sys.stdout.write(f"FOUND {door}: {finding} → {path}\n")


if __name__ == "__main__":
    sys.exit(main())
