"""Fixtures of all tests: a cache of their own, and `train.py` run as a user would.

The environment variable `WARMUP_LAB_TEST_SEED_OFFSET` is added to the seed of every training, in this process and in
those that tests start. The tests must pass with any offset: none depends on how one particular training turns out.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import program
import pytest

from warmup_lab.system import seeding

if SEED_OFFSET := int(os.environ.get("WARMUP_LAB_TEST_SEED_OFFSET", "0")):
    seeding.RUN_SEED_OFFSET = SEED_OFFSET
    folder = str(program.ROOT / "tests" / "support" / "seed_offset")  # its sitecustomize.py does the same
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))

TrainPy = Callable[..., subprocess.CompletedProcess[str]]

USERS_VARIABLES = (
    "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE", "WARMUP_LAB_DATA", "HYDRA_FULL_ERROR", "PYTHONSAFEPATH",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first, so that the workers of `make test` end at the same time."""
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test or fixture reads or writes the user's cache, data or W&B account."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARMUP_LAB_CACHE", str(folder))
        for name in USERS_VARIABLES:
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """What a test changes in the environment ends with it: `cli.entry.main` sets variables for its whole process."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    with program.own_logging():
        yield


@pytest.fixture
def train_py(tmp_path: Path) -> TrainPy:
    """Runs `python train.py ARGS` in an empty folder, as a user would from anywhere."""
    return _runner(program.train_py, tmp_path)


@pytest.fixture
def train_py_here(tmp_path: Path) -> TrainPy:
    """The same in this process, which saves the seconds that a new one needs to start."""
    return _runner(program.train_py_here, tmp_path)


def _runner(train_py: TrainPy, folder: Path) -> TrainPy:
    def run(*args: str, env: dict[str, str] | None = None, cwd: Path = folder) -> subprocess.CompletedProcess[str]:
        return train_py(*args, cwd=cwd, **(env or {}))

    return run


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps in this process write no PNG and SVG files, which take seconds to render."""
    monkeypatch.setattr("warmup_lab.report.build.save_figure", lambda *_: None)
