"""A short form of `make chaos`: kills of a stacked sweep, at some writes and at a random moment."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from program import ROOT, start_forked


@pytest.mark.trains
def test_nothing_is_lost_by_kills_at_writes_and_at_random_moments(shared_cache: Path) -> None:
    """In a process of its own, because it forks: threads of other tests would not survive that."""
    chaos = ROOT / "tests" / "benchmarks" / "chaos.py"
    process = start_forked(
        [str(chaos), "--phases", "stacked", "--kills", "1", "--writes", "110", "--processes", "1",
         "--cache", str(shared_cache)], cwd=ROOT,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, output + errors
    assert "stacked" in output
