"""`make run`: site, scheduler and one node on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from scripts.engines import choose
from scripts.services import ServiceError
from scripts.stack import ROOT, Stack, StackError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--var", type=Path, default=Path(os.environ.get("TOUCHSTONE_VAR", ROOT / "var")))
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell that started this in the background has SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        choice = choose(say)
        with Stack(arguments.var, say=say, port=arguments.port, strict_port=True, engine=choice.for_node) as stack:
            stack.start_node()
            say(f"Touchstone runs at {stack.url} (logs: {stack.var / 'log'}). Sign up there. Ctrl-C stops it.")
            if choice.name is None:
                say(choice.advice())
            while True:
                time.sleep(3600)
    except (ServiceError, StackError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


_STARTED = time.monotonic()


def say(text: str) -> None:
    """One line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:6.1f} s] {text}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
