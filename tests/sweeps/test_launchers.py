"""The launchers: Hydra's own test suites with jobs alone and in groups, and real sweeps."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite
from hydra.types import HydraContext
from hydra.version import VersionBase
from omegaconf import OmegaConf
from packaging.version import Version
from program import ROOT, SMALL, SMALL_MODEL, start_train_py, wait_for_files
from small_runs import small_plan, stopping_line

from warmup_lab.cli.compose import compose_plan
from warmup_lab.plan import Plan
from warmup_lab.runs.trace import StepTable
from warmup_lab.sweeps import fastest, launchers
from warmup_lab.system.locks import run_lock
from warmup_lab.training import execute, loop


@pytest.fixture(autouse=True)
def _grouping_functions_can_be_imported(monkeypatch):
    """Hydra's suites start programs, which import `job_groups` too."""
    paths = [str(ROOT / "tests" / "support"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.fixture(autouse=True)
def _hydra_defaults_of_the_suites():
    """Hydra's suites need the defaults of Hydra 1.1 for `hydra.job.chdir`. Another test may have set other defaults."""
    base = VersionBase.instance()
    before = base.getbase()
    base.setbase(Version("1.1"))
    yield
    base.version_base = before


# The programs of the suites do not set `version_base`.
OLD_DEFAULTS = pytest.mark.filterwarnings("ignore:.*Future Hydra versions:UserWarning")
GROUPINGS = ["job_groups.all_together", "job_groups.one_by_one"]


def set_up(name: str) -> Launcher:
    """The launcher that Hydra sets up for `hydra/launcher=NAME`."""
    config = OmegaConf.create({"hydra": {}})
    config.hydra.launcher = ConfigStore.instance().load(f"hydra/launcher/{name}.yaml").node
    context = HydraContext(config_loader=None, callbacks=None)
    return Plugins.instance().instantiate_launcher(context, lambda _: None, config)


def test_hydra_finds_the_launchers():
    names = {launcher.__name__ for launcher in Plugins.instance().discover(Launcher)}
    assert {"StackedLauncher", "FastestLauncher"} <= names


def test_the_former_name_of_stacked_works_and_warns_once(caplog):
    launcher = set_up("packed")
    assert "StackedLauncher" in [base.__name__ for base in type(launcher).__mro__]
    assert [record.message for record in caplog.records] == ["hydra/launcher=packed is now called stacked"]
    set_up("stacked")
    assert len(caplog.records) == 1


@OLD_DEFAULTS
@pytest.mark.parametrize("launcher_name", ["stacked"])
@pytest.mark.parametrize("overrides", [[f"hydra.launcher.batch={name}"] for name in GROUPINGS])
class TestStackedLauncher(LauncherTestSuite):
    @pytest.fixture(autouse=True)
    def _own_list(self, overrides):  # the suite appends to the parameter
        before = list(overrides)
        yield
        overrides[:] = before


@OLD_DEFAULTS
@pytest.mark.parametrize("launcher_name", ["stacked"])
@pytest.mark.parametrize(
    "overrides",
    [[f"hydra.launcher.batch={name}", "hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2"] for name in GROUPINGS],
)
class TestStackedLauncherInBatches(BatchedSweeperTestSuite): ...


@OLD_DEFAULTS
@pytest.mark.parametrize("extra_flags", [["-m", f"hydra.launcher.batch={GROUPINGS[0]}"]])
@pytest.mark.parametrize(
    "task_launcher_cfg",
    [{"defaults": [{"override hydra/launcher": "stacked"}, {"override hydra/job_logging": "disabled"}]}],
)
class TestStackedLauncherIntegration(IntegrationTestSuite): ...


# ----------------------------------------------------------------------------------------------- sweeps of train.py

GRID = (*SMALL, "device=cpu", "-m", *SMALL_MODEL, "model.dropout=0", "eval_every=null",
        "study=try", "hydra/launcher=stacked")  # fmt: skip


def plan_of(*args: str) -> Plan:
    """The plan of the cell with these overrides."""
    return compose_plan([word for word in args if word != "-m" and not word.startswith("hydra")])


def table(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "runs" / "try" / "results.parquet").set_index("run_id").sort_index()


def logs(folder: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in folder.glob("runs/try/*/train.log")}


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_runs_that_can_be_stacked_are_and_a_failed_run_leaves_the_others_intact(train_py_here, tmp_path):
    """Three adamw runs are stacked; one of them cannot write its trace. Three nadam runs are trained alone.

    Then the same command with `force=true` trains all of them again.
    """
    grid = (*GRID, "epochs=1", "optimizer=adamw,nadam", "seed=range(3)")
    blocked = tmp_path / "runs" / "try" / plan_of(*grid[:-2], "optimizer=adamw", "seed=1").run_id
    (blocked / "trace.parquet").mkdir(parents=True)
    done = train_py_here(*grid)
    assert done.returncode != 0
    assert "1 run failed" in done.stderr
    runs = table(tmp_path)
    assert dict(runs.groupby(["optimizer", "status"]).size()) == {
        ("adamw", "completed"): 2, ("adamw", "error"): 1, ("nadam", "completed"): 3,
    }  # fmt: skip
    stacked = {run for run, text in logs(tmp_path).items() if "stacked with 2 other runs in one process" in text}
    assert stacked == set(runs[(runs.optimizer == "adamw") & (runs.status == "completed")].index)
    assert blocked.name in (tmp_path / "runs" / "try" / "report.html").read_text()
    for folder in (tmp_path / "runs" / "try").glob("*/.hydra"):
        assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "hydra.yaml", "overrides.yaml"]
    (blocked / "trace.parquet").rmdir()
    before = StepTable.read(tmp_path / "runs" / "try" / runs.index[0] / "trace.parquet").to_lists()
    again = train_py_here(*grid, "force=true")
    assert again.returncode == 0, again.stderr
    assert "6 to train" in again.stderr
    assert set(table(tmp_path).status) == {"completed"}
    assert StepTable.read(tmp_path / "runs" / "try" / runs.index[0] / "trace.parquet").to_lists() == before
    third = train_py_here(*grid)
    assert "6 finished already, 0 to train" in third.stderr


@pytest.mark.trains
def test_a_stacked_run_whose_folder_is_in_use_fails_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(execute, "_SWEEP_WAIT", 0)
    plans = [small_plan(dropout=0.0, max_steps=2, eval_every=None, seed=seed) for seed in range(4)]
    folders = [tmp_path / plan.run_id for plan in plans]
    done = execute.execute_run(plans[3], folders[3])
    with run_lock(folders[1]):
        outcomes = launchers._train_claimed(plans, folders)
    assert [isinstance(outcome, dict) for outcome in outcomes] == [True, False, True, True]
    assert "in use by another command" in str(outcomes[1])
    assert outcomes[0]["speed"]["runs_together"] == 2
    assert outcomes[3] == done, "it was finished, so it was not trained again"
    assert f"{plans[1].name}: " in caplog.text
    assert not (folders[1] / "result.json").exists()


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_a_stacked_sweep_that_was_killed_and_interrupted_resumes_to_the_losses_of_single_runs(train_py_here, tmp_path):
    """SIGKILL leaves the periodic checkpoints. Ctrl-C, here in this process, saves a checkpoint of every run."""
    grid = (*GRID, "epochs=12", "checkpoint_every=5", "seed=range(3)")  # 60 updates
    plans = [plan_of(*grid[:-1], f"seed={seed}") for seed in range(3)]
    process = start_train_py(*grid, cwd=tmp_path)
    for plan in plans:
        wait_for_files(tmp_path, f"runs/try/{plan.run_id}/checkpoint/state*.pt", process)
    process.kill()
    process.communicate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warmup_lab.training.stacked.loop.ProgressLine", stopping_line(58))
        stopped = train_py_here(*grid)
    assert stopped.returncode == 130, stopped.stderr
    assert "stopped; the same command continues" in stopped.stderr
    assert len(list(tmp_path.glob("runs/try/*/checkpoint"))) == 3
    assert not list(tmp_path.glob("runs/try/*/result.json"))
    done = train_py_here(*grid)
    assert done.returncode == 0, done.stderr
    for path in tmp_path.glob("runs/try/*/result.json"):
        assert len(json.loads(path.read_text())["resumed_at"]) == 2
    for plan in plans:
        loop.train(plan, tmp_path / "alone" / plan.run_id, show_progress=False)
        traces = [StepTable.read(tmp_path / folder / plan.run_id / "trace.parquet") for folder in ("runs/try", "alone")]
        np.testing.assert_allclose(traces[0].array("loss"), traces[1].array("loss"), rtol=1e-5)


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_the_last_run_of_a_stacked_sweep_has_the_dropout_masks_of_the_group(train_py_here, tmp_path):
    """One of two runs is trained again, as after `kill -9` in front of its last file."""
    grid = (*GRID, "epochs=1", "seed=0,1", "model.dropout=0.5")
    plan = plan_of(*grid[:-2], "model.dropout=0.5", "seed=0")
    folder = tmp_path / "runs" / "try" / plan.run_id
    assert train_py_here(*grid).returncode == 0
    before = StepTable.read(folder / "trace.parquet").array("loss")
    shutil.rmtree(folder)
    assert train_py_here(*grid).returncode == 0
    np.testing.assert_allclose(StepTable.read(folder / "trace.parquet").array("loss"), before, rtol=1e-5)


@pytest.mark.parametrize(
    ("device", "num_cores", "num_jobs", "name", "options", "reason"),
    [
        ("cuda", 16, 64, "stacked", {}, "on a GPU"),
        ("cpu", 2, 64, "joblib", {"n_jobs": 2}, "2 processes with one core each, since there is no GPU"),
        ("cpu", 8, 3, "joblib", {"n_jobs": 3}, "3 processes with one core each, since there is no GPU"),
        ("cpu", 1, 64, "basic", {}, "there is no GPU and only one core"),
        ("mps", 8, 64, "basic", {}, "all runs share the device mps"),
        ("cuda", 8, 1, "stacked", {}, "on a GPU"),
    ],
)
def test_the_fastest_launcher_of_a_machine(device, num_cores, num_jobs, name, options, reason):
    choice = fastest._choose(device, num_cores, num_jobs)
    assert (choice.name, choice.options) == (name, options)
    assert choice.reason.startswith(reason)


@pytest.mark.parametrize(
    ("name", "options", "class_name"),
    [
        ("basic", {}, "BasicLauncher"),
        ("joblib", {"n_jobs": 3}, "JoblibLauncher"),
        ("stacked", {}, "StackedLauncher"),
    ],
)
def test_fastest_sets_up_the_launcher_of_its_choice(name, options, class_name):
    launcher = set_up("fastest")._instantiate(fastest.LauncherChoice(name, "reason", options))
    assert type(launcher).__name__ == class_name
    if name == "joblib":
        assert launcher.joblib["n_jobs"] == 3


@pytest.mark.trains
@pytest.mark.usefixtures("without_pictures")
def test_fastest_prints_its_choice_and_trains_every_run(train_py_here, tmp_path, monkeypatch):
    """On one core, so that all runs stay in this process. tests/end_to_end/test_sweep.py has it on all cores."""
    monkeypatch.setattr("warmup_lab.system.available_cores", lambda: 1)
    done = train_py_here(*GRID[:-1], "epochs=1", "seed=range(2)", "hydra/launcher=fastest")
    assert done.returncode == 0, done.stderr
    assert "fastest on this machine: hydra/launcher=basic" in done.stderr
    assert list(table(tmp_path).status) == ["completed"] * 2
