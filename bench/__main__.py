"""`python -m bench [--only PARTS] [--quick]`: one JSON object on stdout, talk on stderr.

How to read it: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench import attacks, engines, fairness, leaderboard, queries, submission, throughput
from bench.bare import BareError
from bench.machine import load, machine
from bench.probe import ProbeError
from bench.rounds import say
from scripts.services import ServiceError
from scripts.stack import StackError
from touchstone_client.errors import ClientError

PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "attacks": attacks.measure,
    "engines": engines.measure,
    "fairness": fairness.measure,
    "leaderboard": leaderboard.measure,
    "queries": queries.measure,
    "submission": submission.measure,
    "throughput": throughput.measure,
}


def main(argv: list[str] | None = None) -> int:
    """Measure; returns the exit code. A part that cannot be measured ends the whole: half a result misleads."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, with commas: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="few rounds and small sizes, to see that it works")
    arguments = parser.parse_args(argv)
    wanted = [name for name in PARTS if name in arguments.only.split(",")]
    unknown = set(arguments.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"no part named {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    # The terminal's way to end things, so that servers and containers are taken down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = _measure(wanted, quick=arguments.quick)
    except (ServiceError, StackError, ProbeError, ClientError, BareError, submission.NotScored) as error:
        print(f"The benchmark could not go on: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    print(json.dumps(found, indent=2))
    return 0


def _measure(wanted: list[str], *, quick: bool) -> dict[str, Any]:
    started = time.monotonic()
    found: dict[str, Any] = {
        "schema_version": 1,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine(),
        "load": {"before": load()},
    }
    for name in wanted:
        say(name)
        found[name] = PARTS[name](quick=quick)
        found["load"][f"after_{name}"] = load()
    return found | {"seconds": round(time.monotonic() - started, 1)}


if __name__ == "__main__":
    raise SystemExit(main())
