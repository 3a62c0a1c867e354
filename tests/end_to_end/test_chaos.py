"""A short form of `make chaos`: kills of a stacked sweep and of a run that fills the cache."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from program import ROOT, start_forked


@pytest.mark.trains
def test_nothing_is_lost_by_kills_at_writes_and_at_random_moments(shared_cache: Path) -> None:
    assert "stacked" in chaos("--phases", "stacked", "--kills", "1", "--writes", "110", "--cache", str(shared_cache))


@pytest.mark.trains
def test_nothing_is_lost_by_a_kill_while_the_cache_is_written() -> None:
    """After another command has filled the cache of all phases, as in `make chaos`."""
    assert "cache" in chaos("--phases", "single", "cache", "--kills", "1", "--writes", "0")


def chaos(*words: str) -> str:
    """Its output. In a process of its own, because it forks: threads of other tests would not survive that."""
    script = ROOT / "tests" / "benchmarks" / "chaos.py"
    process = start_forked([str(script), *words, "--processes", "1"], cwd=ROOT)
    try:
        output, errors = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, output + errors
    return output
