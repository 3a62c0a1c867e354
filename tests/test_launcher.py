"""The launchers: Hydra's own suites, one by one and grouped, and sweeps as users run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, SMALL
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite

from warmup_lab import launching
from warmup_lab.launching import Together
from warmup_lab.trace import Record


def all_together(jobs, _folders, task_function):
    """A `Batch` of the tests: every job of the launch in one group, each handed over by its own task function."""
    return [Together(range(len(jobs)), lambda: [task_function] * len(jobs))]


def one_by_one(_jobs, _folders, _task_function):
    return []


@pytest.fixture(autouse=True)
def _batch_functions_can_be_imported(monkeypatch):
    """By the programs that Hydra's suites start, too."""
    paths = [str(Path(__file__).parent), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


# The suites' own programs ask for no version of Hydra's defaults.
OLD_DEFAULTS = pytest.mark.filterwarnings("ignore:.*Future Hydra versions:UserWarning")
BATCHES = [f"test_launcher.{function.__name__}" for function in (all_together, one_by_one)]


def test_hydra_finds_both_launchers():
    names = {launcher.__name__ for launcher in Plugins.instance().discover(Launcher)}
    assert {"PackedLauncher", "FastestLauncher"} <= names


@OLD_DEFAULTS
@pytest.mark.parametrize("launcher_name", ["packed"])
@pytest.mark.parametrize("overrides", [[f"hydra.launcher.batch={batch}"] for batch in BATCHES])
class TestPackedLauncher(LauncherTestSuite):
    @pytest.fixture(autouse=True)
    def _own_list(self, overrides):  # the suite appends to the parameter
        before = list(overrides)
        yield
        overrides[:] = before


@OLD_DEFAULTS
@pytest.mark.parametrize("launcher_name", ["packed"])
@pytest.mark.parametrize(
    "overrides",
    [[f"hydra.launcher.batch={batch}", "hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2"] for batch in BATCHES],
)
class TestPackedLauncherInBatches(BatchedSweeperTestSuite): ...


@OLD_DEFAULTS
@pytest.mark.parametrize("extra_flags", [["-m", f"hydra.launcher.batch={batch}"] for batch in BATCHES])
@pytest.mark.parametrize(
    "task_launcher_cfg",
    [{"defaults": [{"override hydra/launcher": "packed"}, {"override hydra/job_logging": "disabled"}]}],
)
class TestPackedLauncherIntegration(IntegrationTestSuite): ...
