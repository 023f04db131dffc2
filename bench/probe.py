"""Parts that need a process of their own: JSON in on stdin, JSON out on stdout, talk on stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from scripts.stack import PYTHONPATH, ROOT

#: What the person's own Touchstone is called by: a benchmark never touches its database or storage.
_FOREIGN = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")


class ProbeError(Exception):
    """A probe ended with an error; the message has the end of what it said."""


def clean_environment() -> dict[str, str]:
    """The environment without what names somebody's Touchstone."""
    return {
        key: value for key, value in os.environ.items() if key not in _FOREIGN and not key.startswith("TOUCHSTONE_")
    }


def probe(module: str, question: Any, *, environment: Mapping[str, str]) -> Any:
    """Ask `python -m module`. Raises `ProbeError`."""
    env = {**clean_environment(), "PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1", **environment}
    asked = subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env
    )
    try:
        out, _ = asked.communicate(json.dumps(question))
    except BaseException:
        asked.terminate()
        asked.wait(30)
        raise
    if asked.returncode != 0:
        raise ProbeError(f"{module} ended with status {asked.returncode}; what it said is above.")
    return json.loads(out)
