"""A short form of `make chaos`: kills of a stacked sweep, at some writes and at a random moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from program import ROOT, run


@pytest.mark.trains
def test_nothing_is_lost_by_kills_at_writes_and_at_random_moments(shared_cache: Path) -> None:
    """In a process of its own, because it forks: threads of other tests would not survive that."""
    chaos = ROOT / "tests" / "benchmarks" / "chaos.py"
    done = run(
        [sys.executable, chaos, "--phases", "stacked", "--kills", "1", "--writes", "110",
         "--processes", "1", "--cache", shared_cache], cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stacked" in done.stdout
