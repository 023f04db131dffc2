"""Puts the part of `runners` that the client shares with the server into the wheel.

An editable install (`pip install -e . -e client`) takes `runners` from the repository beside it. A wheel must stand
alone, so it carries a copy of exactly the modules below: the competition format, the reader of its data, and the
contract; nothing of a node.
"""

from pathlib import Path

from setuptools import setup  # type: ignore[import-untyped]
from setuptools.command.build_py import build_py  # type: ignore[import-untyped]

SHARED = ("__init__.py", "attributes.py", "contract.py", "errors.py", "spec/*.py", "spec/*.json", "data/*.py")


class BuildWithShared(build_py):  # type: ignore[misc]
    """`build_py`, and the shared modules of the repository that this folder is part of."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        source = Path(__file__).resolve().parent.parent / "runners"
        files = [path for pattern in SHARED for path in sorted(source.glob(pattern))]
        if not files:
            raise SystemExit(f"{source} is missing: build the client from a checkout of the whole repository")
        for path in files:
            target = Path(self.build_lib) / "runners" / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": BuildWithShared})
