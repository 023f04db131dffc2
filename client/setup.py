"""Puts `runners` into the wheel: the checks of competitions and submissions, and the judge that `touchstone test` runs.

An editable install (`pip install -e . -e client`) takes `runners` from the repository beside it. A wheel must stand
alone, so it carries a copy; of all but what makes a machine a node of the platform. What those modules import comes
with the extras `data` and `local`: without them nothing heavy is installed, and nothing imports it.
"""

from pathlib import Path

from setuptools import setup  # type: ignore[import-untyped]
from setuptools.command.build_py import build_py  # type: ignore[import-untyped]

#: Files of `runners` by their endings, and the parts that stay behind.
SHARED = ("**/*.py", "spec/*.json", "channel/*.c")
LEFT_OUT = ("node", "worker.py", "slurm.py", "kubernetes.py")


class BuildWithShared(build_py):  # type: ignore[misc]
    """`build_py`, and the shared modules of the repository that this folder is part of."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        source = Path(__file__).resolve().parent.parent / "runners"
        found = [path for pattern in SHARED for path in sorted(source.glob(pattern))]
        files = [path for path in found if not _left_out(path.relative_to(source))]
        if not files:
            raise SystemExit(f"{source} is missing: build the client from a checkout of the whole repository")
        for path in files:
            target = Path(self.build_lib) / "runners" / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(path), str(target))


def _left_out(path: Path) -> bool:
    """Whether a module is a node's alone: its engines of clusters too."""
    names = (path.parts[0], path.name, path.name.lstrip("_").partition("_")[0] + ".py")
    return any(name in LEFT_OUT for name in names)


setup(cmdclass={"build_py": BuildWithShared})
