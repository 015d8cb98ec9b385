"""Timings, one command each, from the repository's root. No installation is needed.

    python -m benchmarks evaluate    features to CMC, mAP, mINP: the published way and ours
    python -m benchmarks gpu         what only a GPU can tell, as a table within so many minutes
    python -m benchmarks metabin     a MetaBIN step, a BIN step and a BN step
    python -m benchmarks norms       forward and backward of the norms
    python -m benchmarks training    a training step by memory layout and precision
    python -m benchmarks world       pictures drawn a second

`python -m benchmarks NAME --help` tells the options of one.
"""

import importlib
import sys

from reidkit.console import command

NAMES = ("evaluate", "gpu", "metabin", "norms", "training", "world")


@command
def main(words: list[str] | None = None) -> int:
    """Run the benchmark that the first word names.

    Args:
        words: of the command line; None takes those of this process.
    Returns:
        The exit status.
    """
    words = sys.argv[1:] if words is None else words
    if not words or words[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if words[0] not in NAMES:
        print(f"no benchmark {words[0]!r}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    benchmark = importlib.import_module(f"{__package__}.{words[0]}")
    return benchmark.main(words[1:]) or 0


if __name__ == "__main__":
    raise SystemExit(main())
