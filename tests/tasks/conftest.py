"""Every test of the tasks has its own caches, on disk and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from warmup_lab.system import cache, network
from warmup_lab.tasks import sources, tokenizing


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMUP_LAB_CACHE", str(tmp_path / "cache"))
    for cached in (cache._temporary_root, tokenizing._existing, network.reachable):
        cached.cache_clear()
    sources._LOADED.clear()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub address where nothing answers, so no test waits for a network or depends on one."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
