"""`python -m warmup_lab.report runs/ten_percent` rebuilds the report of a sweep from the files on disk."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from warmup_lab.config import ConfigError
from warmup_lab.report.build import report_sweep


def main(arguments: list[str], prog: str = "python -m warmup_lab.report") -> int:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Rebuild the report of a sweep from the files on disk: table, comparison, figures and page.",
    )
    parser.add_argument("directory", type=Path, help="folder of the sweep, such as runs/ten_percent")
    try:
        report_sweep(parser.parse_args(arguments).directory)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
