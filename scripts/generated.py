"""Files that are generated and committed: are they what the code says now? And is every migration there?

python -m scripts.generated            exit 1 and say which are stale
python -m scripts.generated --write    write them
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from scripts.stack import PYTHONPATH, ROOT

_MANAGE = [sys.executable, "manage.py"]
#: Committed file → the command whose stdout it is.
GENERATED: dict[Path, list[str]] = {
    Path("runners/spec/catalogue.json"): [
        sys.executable, "-c", "import sys; from runners.catalogue import text; sys.stdout.write(text())",
    ],
    Path("docs/competition.schema.json"): [sys.executable, "-m", "runners.spec", "schema"],
    Path("docs/openapi.json"): [*_MANAGE, "spectacular", "--format", "openapi-json", "--validate", "--fail-on-warn",
        "--custom-settings", "touchstone.api.schema.SETTINGS",
    ],
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    stale = [str(path) for path, argv in GENERATED.items() if not _is_current(path, argv, write=write)]
    if stale:
        print(f"Stale: {', '.join(stale)}. Run `make schemas` and commit what it wrote.")
    pages = _metric_pages_are_current(write=write)
    return 1 if stale or not pages or not _migrations_are_there() else 0


def _is_current(path: Path, argv: list[str], *, write: bool) -> bool:
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env=_environment())
    if done.returncode != 0:
        print(f"{path} cannot be made: {done.stderr[-3000:]}")
        return False
    text = done.stdout if done.stdout.endswith("\n") else done.stdout + "\n"
    target = ROOT / path
    if target.exists() and target.read_text().rstrip() == text.rstrip():
        return True
    if write:
        target.write_text(text)
        print(f"wrote {path}")
    return write


def _metric_pages_are_current(*, write: bool) -> bool:
    """The pages and figures below docs/metrics, from the registry and the results kept there; nothing is measured."""
    argv = [sys.executable, "-m", "scripts.metric_docs", *([] if write else ["--check"])]
    return subprocess.run(argv, cwd=ROOT, env=_environment()).returncode == 0


def _migrations_are_there() -> bool:
    argv = [*_MANAGE, "makemigrations", "--check", "--dry-run"]
    # Without a database Django warns that it cannot look for conflicts; the models are compared all the same.
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env=_environment())
    if done.returncode != 0:
        print(f"A migration is missing: run `.venv/bin/python manage.py makemigrations`.\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "touchstone.config.settings.dev",
        "PYTHONPATH": PYTHONPATH,
    }


if __name__ == "__main__":
    raise SystemExit(main())
