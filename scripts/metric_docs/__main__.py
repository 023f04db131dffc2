"""Pages about every metric, attack and defence below docs/metrics.

python -m scripts.metric_docs                    write them from the registry and docs/metrics/results.json
python -m scripts.metric_docs --check            exit 1 and say which are stale
python -m scripts.metric_docs --measure [NAME …] measure again first: all, or the pages named (minutes)
"""

from __future__ import annotations

import argparse
import sys

from scripts.metric_docs import files


def main() -> int:
    """Measure where asked to, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--measure", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.measure is not None:
        from scripts.metric_docs import measured
        from scripts.metric_docs.measuring import measure_all

        kept = measured.load(files.RESULTS)
        measured.save(files.RESULTS, measure_all(kept, frozenset(options.measure)))
    found = files.stale(write=not options.check)
    if options.check and found:
        sys.stdout.write(f"Stale below docs/metrics: {', '.join(found)}. Run `make schemas`.\n")
        return 1
    sys.stdout.write(f"{len(found)} files written\n" if found and not options.check else "nothing to write\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
