"""Entry point of the script `touchstone`. Asked for its version only, it loads nothing of what commands need."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        from touchstone_client.version import __version__

        sys.stdout.write(f"touchstone {__version__}\n")
        return
    from touchstone_client.cli import main as run

    run()
