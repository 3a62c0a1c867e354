"""`python -m warmup_lab.report runs/ten_percent` rebuilds the report of a sweep from the files on disk."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from warmup_lab.config import ConfigError, require
from warmup_lab.report.build import report_sweep
from warmup_lab.runs import sweep_at


def main(arguments: list[str], prog: str = "python -m warmup_lab.report") -> int:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Rebuild the report of a sweep from the files on disk: table, comparison, figures and page.",
    )
    parser.add_argument("directory", help="folder of the sweep, such as runs/ten_percent, or its URL")
    try:
        _report(parser.parse_args(arguments).directory)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _report(location: str) -> None:
    published = sweep_at(location)
    if published is None:
        report_sweep(Path(location))
        return
    require(published.fetch(), f"{location} holds no sweep: nothing is published there")
    report_sweep(published.directory, location=published.store.url)
    published.publish()
    print(f"published to {published.store.url}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
