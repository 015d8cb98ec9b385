"""`make faults`: damaged inputs, killed writers, two at once, full and read-only disks; a table.

    python -m tests.faults                      everything (some minutes)
    python -m tests.faults --share 0.1          a tenth of the trials
    python -m tests.faults --only "model files" --trials 50 --show

The exit status is 1 where anything was lost, silent, without a remedy, or hung.
"""

import argparse
import pathlib
import sys

# The cases that other tests use, too, lie beside this folder.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from . import suite  # noqa: E402


def main(words=None):
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--share", type=float, default=1.0, help="of all trials")
    parser.add_argument("--seed", type=int, default=0, help="of the damages")
    parser.add_argument("--only", action="append", help="a kind's name; may be repeated")
    parser.add_argument("--show", action="store_true", help="tell of every bad end")
    asked = parser.parse_args(words)
    counts = suite.run(asked.share, asked.seed, asked.only)
    print(suite.table(counts))
    if asked.show:
        print("\n".join(counts.told))
    return int(counts.bad() > 0)


if __name__ == "__main__":
    raise SystemExit(main())
