"""Fixtures of all tests: a cache of their own, and `train.py` run as a user would.

The environment variable `WARMUP_LAB_TEST_SEED_OFFSET` is added to the seed of every training, in this process and in
those that tests start. The tests must pass with any offset: none depends on how one particular training turns out.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import program
import pytest
from fork_server import start_server
from hydra_memory import each_configuration_is_composed_once

from warmup_lab.system import seeding

if SEED_OFFSET := int(os.environ.get("WARMUP_LAB_TEST_SEED_OFFSET", "0")):
    seeding.RUN_SEED_OFFSET = SEED_OFFSET
    folder = str(program.ROOT / "tests" / "support" / "seed_offset")  # its sitecustomize.py does the same
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))

TrainPy = Callable[..., subprocess.CompletedProcess[str]]

USERS_VARIABLES = (
    "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE", "WARMUP_LAB_DATA", "HYDRA_FULL_ERROR", "PYTHONSAFEPATH",
)  # fmt: skip


_SLOW = {
    "end_to_end", "training", "test_any_input.py", "test_bad_input.py", "test_browser.py", "test_build.py",
    "test_cell_loader.py", "test_error_rates.py", "test_launchers.py", "test_looks.py", "test_page.py",
    "test_recommend_search.py",
}  # fmt: skip
"""Folders and files of the slowest tests."""


def pytest_configure(config: pytest.Config) -> None:
    """The workers of `make test` share one fork server."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        os.environ["WARMUP_LAB_TEST_FORK_SERVER"] = str(start_server())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first, so that the workers of `make test` end at the same time."""
    items.sort(key=lambda item: _SLOW.isdisjoint(item.path.parts))
    gc.collect()


@pytest.fixture(scope="module", autouse=True)
def _no_search_of_modules() -> None:
    """What a file imports is never garbage. Searching all modules, mainly those of torch, took 5 % of the time."""
    gc.collect()  # the garbage of the file before would be kept too
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test or fixture reads or writes the user's cache, data or W&B account. All workers share the folder."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARMUP_LAB_CACHE", str(folder))
        for name in USERS_VARIABLES:
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _hydra_composes_once() -> Iterator[None]:
    with each_configuration_is_composed_once():
        yield


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """What a test changes in the environment ends with it: `cli.entry.main` sets variables for its whole process."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    with program.own_logging():
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """A run sets the number of torch's threads. More of them than free cores would slow down all later tests."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


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
def empty_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports in this process write PNG and SVG files without content: only their names are of interest."""

    def save(_: object, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".png", ".svg"):
            path.with_suffix(suffix).touch()

    monkeypatch.setattr("warmup_lab.report.build.save_figure", save)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps in this process write no PNG and SVG files, which take seconds to render."""
    monkeypatch.setattr("warmup_lab.report.build.save_figure", lambda *_: None)
