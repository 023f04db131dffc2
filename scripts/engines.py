"""Which sandbox this machine offers: Docker where an engine answers, else bubblewrap, else none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.stack import PYTHONPATH, ROOT

_PROBE = """
import json, sys
from runners.engines import choose_engine
chosen, reports = choose_engine(sys.argv[1])
found = {"name": chosen.name if chosen else None, "reports": [report.model_dump(mode="json") for report in reports]}
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Choice:
    """The engine that a node on this machine takes. `name` is None where no self-test passed."""

    name: str | None
    reports: list[dict[str, Any]]
    asked: str = "auto"

    @property
    def for_node(self) -> str:
        """TOUCHSTONE_ENGINE of the node: it tests for itself, and comes to the same end."""
        return self.name or self.asked

    @property
    def report(self) -> dict[str, Any]:
        """The report of the chosen engine, or an empty one."""
        return next((report for report in self.reports if report["name"] == self.name), {})

    def advice(self) -> str:
        """Why no engine passed and what to do about it."""
        lines = [
            "No sandbox passed its self-test, so no foreign code is run here: only prediction files are evaluated."
        ]
        for report in self.reports:
            lines += [f"  {report['name']}: {problem}" for problem in report["problems"] or ["not available"]]
        lines.append(
            "To change that, do one of these and run the same command again: start a Docker engine that this user may "
            "use (docker version must answer), or allow unprivileged user namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0)."
        )
        return "\n".join(lines)


def docker_answers() -> bool:
    """True where a Docker engine can be reached by this user."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True, timeout=60).returncode == 0


def build_images(say: Callable[[str], None]) -> bool:
    """Build the base and the runtime image; False (and said why) where that fails."""
    for script in ("build_base.py", "build_runtime.py"):
        done = subprocess.run([sys.executable, str(ROOT / "docker" / script)], capture_output=True, text=True, cwd=ROOT)
        if done.returncode != 0:
            say(f"docker/{script} failed, so Docker cannot be used:\n{(done.stdout + done.stderr)[-3000:]}")
            return False
    return True


def choose(say: Callable[[str], None], name: str = "") -> Choice:
    """Build what Docker needs where Docker answers, then test the engines.

    `name` (default: TOUCHSTONE_ENGINE, else auto) takes just that engine.
    """
    name = name or os.environ.get("TOUCHSTONE_ENGINE") or "auto"
    if name in ("auto", "docker") and docker_answers():
        say("A Docker engine answers: building the base and the runtime image (minutes the first time)")
        build_images(say)
    elif name == "auto":
        say("No Docker engine answers: trying bubblewrap")
    env = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run([sys.executable, "-c", _PROBE, name], capture_output=True, text=True, cwd=ROOT, env=env)
    if done.returncode != 0:
        say(f"The self-test of the engines failed:\n{done.stderr[-3000:]}")
        return Choice(None, [], name)
    found = json.loads(done.stdout)
    return Choice(found["name"], found["reports"], name)
