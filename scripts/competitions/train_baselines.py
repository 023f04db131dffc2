"""Train the baselines of the ready-made competitions and write `baselines/` with what each must score.

    python -m scripts.competitions.train_baselines [recidivism] [garments]

Takes about three minutes on two cores. Seeds are fixed; other processors may round differently, which is
why the artifacts are committed and the expected scores belong to them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import ModuleType

import torch
from ruamel.yaml import YAML

from scripts.competitions import train_garments, train_recidivism

COMPETITIONS: dict[str, ModuleType] = {"recidivism": train_recidivism, "garments": train_garments}
HEADER = "# Written by scripts/competitions/train_baselines.py. `expected`: scores on the split of `phase`.\n"


def write_list(path: Path, entries: list[dict[str, object]]) -> None:
    """Write baselines.yml."""
    yaml = YAML()
    yaml.width = 120
    with path.open("w") as file:
        file.write(HEADER)
        yaml.dump(entries, file)


def main() -> int:
    """Train what was named, or everything."""
    parser = argparse.ArgumentParser(description="Train the baselines of the ready-made competitions")
    parser.add_argument("slug", nargs="*", choices=[*COMPETITIONS, []], help="default: both")
    names = parser.parse_args().slug or list(COMPETITIONS)
    torch.use_deterministic_algorithms(True)
    for name in names:
        started = time.monotonic()
        entries = COMPETITIONS[name].write_all()
        write_list(COMPETITIONS[name].FOLDER / "baselines" / "baselines.yml", entries)
        print(f"{name}: {len(entries)} baselines in {time.monotonic() - started:.0f} s")
        for entry in entries:
            print(f"  {entry['name']:22} {entry['expected']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
