"""Texts of pages in other languages than English.

python -m scripts.messages            bring the catalogues up to date and compile them
python -m scripts.messages --check    exit 1 and say what is stale, missing or wrong; nothing is written
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.messages import catalogue
from scripts.messages.extract import messages

_ROOT = Path(__file__).resolve().parents[2]
SOURCES = _ROOT / "platform" / "touchstone"
METRICS = _ROOT / "runners" / "spec" / "catalogue.json"
LOCALE = SOURCES / "web" / "locale"


def files(language: str) -> tuple[Path, Path]:
    """The catalogue that people edit, and the compiled one."""
    folder = LOCALE / language / "LC_MESSAGES"
    return folder / "django.po", folder / "django.mo"


def update(language: str) -> None:
    """Write both files: new texts come without a translation, texts used nowhere go."""
    po, mo = files(language)
    po.parent.mkdir(parents=True, exist_ok=True)
    fresh = catalogue.merged(messages(SOURCES, METRICS), catalogue.read(po) if po.exists() else None, language=language)
    po.write_text(catalogue.text_of(fresh))
    mo.write_bytes(catalogue.compiled(fresh))


def faults(language: str) -> list[str]:
    """Everything that is wrong with a language; empty when it is whole."""
    po, mo = files(language)
    if not po.exists():
        return [f"there is no catalogue for {language}"]
    found = catalogue.read(po)
    told = list(catalogue.faults(messages(SOURCES, METRICS), found))
    if not mo.exists() or mo.read_bytes() != catalogue.compiled(found):
        told.append(f"{mo.name} is not what {po.name} says")
    return told


def main() -> int:
    """Write or check every language that has its plural forms in `catalogue.PLURALS`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wrong = 0
    for language in catalogue.PLURALS:
        if not options.check:
            update(language)
        told = faults(language)
        wrong += len(told)
        sys.stdout.writelines(f"{language}: {line}\n" for line in told)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
