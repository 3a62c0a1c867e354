"""Fixtures: a small task on disk, a way to run `train.py` as a user would, a cache of the tests' own."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import program
import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache, data or W&B account."""
    monkeypatch.setenv("WARMUP_LAB_CACHE", str(shared_cache))
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE", "WARMUP_LAB_DATA", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """What runs Hydra in this process leaves handlers that write to the streams of its test, closed after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = [handler for handler in root.handlers if handler in handlers]
    root.setLevel(level)


@pytest.fixture
def train_py(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python train.py ARGS` in an empty folder, as a user would from anywhere."""

    def run(*args: str, env: dict[str, str] | None = None, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return program.train_py(*args, cwd=cwd, **(env or {}))

    return run
