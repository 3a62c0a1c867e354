"""Requests to an object store: what publishing a run costs, and what a report of a whole sweep reads.

    make test-s3                                     # installs s3fs and moto
    python tests/benchmarks/store_requests.py        # 10,000 runs, on a server of moto on this machine

The runs are made up. They are published as a trained run publishes itself, and fetched as `warmup-lab report
s3://...` fetches them: into an empty scratch folder, then again into the same one. The server counts the requests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import timing

sys.path.insert(0, str(timing.ROOT / "tests" / "support"))
from published_runs import write_finished
from s3_server import BUCKET, S3Server

from warmup_lab.runs import published_run
from warmup_lab.runs.output import output_folder
from warmup_lab.runs.published import sweep_at


def publish(url: str, scratch: Path, num_runs: int) -> None:
    """Publishes made-up runs of `<url>/sweep` from this scratch folder."""
    os.environ["WARMUP_LAB_SCRATCH"] = str(scratch)
    folders = [output_folder(url) / "sweep" / f"{index:012x}" for index in range(num_runs)]
    for folder in folders:
        write_finished(folder, 0.3)

    def publish_one(folder: Path) -> None:
        run = published_run(url, folder)
        assert run is not None
        run.publish_result()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(publish_one, folders))


def fetch(url: str, scratch: Path) -> int:
    """Fetches the sweep into this scratch folder, and returns its number of finished runs."""
    os.environ["WARMUP_LAB_SCRATCH"] = str(scratch)
    sweep = sweep_at(f"{url}/sweep")
    assert sweep is not None
    sweep.fetch()
    return len(list(sweep.directory.glob("*/result.json")))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000, help="number of published runs")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder, S3Server() as server:
        url, scratch = f"s3://{BUCKET}/runs", Path(folder)
        steps = {
            "published": lambda: publish(url, scratch / "a", options.runs),
            "fetched into an empty folder": lambda: fetch(url, scratch / "b"),
            "fetched again": lambda: fetch(url, scratch / "b"),
        }
        server.requests()
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds = time.perf_counter() - started
            counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(server.requests().items()))
            print(f"{options.runs:,} runs {name}: {counts}; {seconds:.1f} s", flush=True)
            shutil.rmtree(scratch / "a", ignore_errors=True)
        assert fetch(url, scratch / "b") == options.runs


if __name__ == "__main__":
    main()
