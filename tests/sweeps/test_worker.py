"""What a worker of a cluster runs, in this process."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, RunMode
from omegaconf.basecontainer import BaseContainer
from program import ROOT, SMALL, SMALL_MODEL

from warmup_lab.cli.entry import run
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.parse import resolve
from warmup_lab.plan import make_plan
from warmup_lab.runs import StepTable, finished_result
from warmup_lab.sweeps.cell_loader import CellLoader
from warmup_lab.sweeps.launchers import LauncherSetup
from warmup_lab.sweeps.worker import ClusterWorkerStop, GroupJob, GroupWork, package_version, write_context
from warmup_lab.system.devices import planned_for

WORDS = [*SMALL, *SMALL_MODEL, "max_steps=2", "eval_every=null"]


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LauncherSetup]:
    """What Hydra passes to a launcher. A worker replaces Hydra's singletons, so they are put back."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"), pytest.MonkeyPatch.context() as patch:
        others = {kind: one for kind, one in Singleton._instances.items() if kind is not HydraConfig}
        patch.setattr(Singleton, "_instances", others)
        patch.setattr(BaseContainer, "_resolvers", dict(BaseContainer._resolvers))
        plugins = Plugins.instance()  # a second one would execute the modules of all plugins again
        patch.setattr(Plugins, "instance", lambda: plugins, raising=False)
        loader = CellLoader(GlobalHydra.instance().config_loader())
        words = ["hydra.mode=MULTIRUN", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
        config = loader.load_configuration("config", words, run_mode=RunMode.MULTIRUN)
        HydraConfig.instance().set_config(config)
        yield LauncherSetup(HydraContext(config_loader=loader, callbacks=Callbacks()), run, config)


def group_work(
    setup: LauncherSetup, context: Path, *, device: str = "cpu", precision: str = "fp32", seeds: Sequence[int] = (0, 1)
) -> GroupWork:
    """One job a seed, planned for workers with this device."""
    jobs = []
    with planned_for(device, precision):
        for number, overrides in enumerate([*WORDS, f"seed={seed}"] for seed in seeds):
            values = setup.hydra_context.config_loader.load_values(setup.config, overrides)
            jobs.append(GroupJob(number, overrides, make_plan(resolve(values, multirun=True), multirun=True).run_id))
    write_context(setup, context)
    return GroupWork(jobs, str(context), package_version(), device, precision, stacked=False)


@pytest.mark.trains
def test_a_job_that_fails_is_named_and_the_other_finishes(setup, tmp_path):
    work = group_work(setup, tmp_path / "context.pkl")
    failing, other = (tmp_path / "sweep" / job.run_id for job in work.jobs)
    failing.parent.mkdir()
    failing.write_text("in the way")
    failed = work.run()
    assert len(failed) == 1
    assert re.match(r".* seed=0: \w*Error: .*" + failing.name, failed[0])
    assert failing.read_text() == "in the way"
    assert finished_result(other, other.name)


def test_a_worker_with_another_version_of_the_package_refuses(setup, tmp_path):
    work = group_work(setup, tmp_path / "context.pkl")
    with pytest.raises(ConfigError) as refused:
        replace(work, package="warmup-lab 0.0.1 (0123456789ab), torch 1.0").run()
    for version in (package_version(), "warmup-lab 0.0.1 (0123456789ab), torch 1.0"):
        assert version in str(refused.value)
    assert not (tmp_path / "sweep").exists()


def test_a_worker_that_does_not_see_the_folder_of_the_sweep_refuses(setup, tmp_path):
    work = group_work(setup, tmp_path / "context.pkl")
    (tmp_path / "context.pkl").unlink()
    with pytest.raises(ConfigError, match=r"worker .* does not see .*/context\.pkl: the folder of the sweep must"):
        work.run()


@pytest.mark.parametrize(("device", "precision"), [("cuda", "bf16"), ("cpu", "bf16")])
def test_a_worker_with_another_device_or_precision_refuses(setup, tmp_path, device, precision):
    work = group_work(setup, tmp_path / "context.pkl", device=device, precision=precision)
    with pytest.raises(ConfigError, match=f"has cpu fp32, and the runs were planned for {device} {precision}"):
        work.run()
    assert not list(tmp_path.glob("sweep/*"))


def test_a_worker_that_is_told_to_stop_starts_no_job(setup, tmp_path):
    work = group_work(setup, tmp_path / "context.pkl")
    with ClusterWorkerStop():
        signal.raise_signal(signal.SIGUSR2)
        with pytest.raises(KeyboardInterrupt):
            work.run()
    assert not list(tmp_path.glob("sweep/*/trace.parquet"))


@pytest.mark.trains
def test_a_stacked_run_keeps_its_trace_whatever_its_group(setup, tmp_path):
    """Seeds 0 and 1, with dropout: alone as a look would add them one by one, in a group of two, in one of four."""
    traces = []
    for seeds in ([0, 1], [0], [1], [0, 1, 2, 3]):
        work = replace(group_work(setup, tmp_path / "context.pkl", seeds=seeds), stacked=True)
        assert work.run() == []
        folders = [tmp_path / "sweep" / job.run_id for job in work.jobs]
        traces.append({folder.name: StepTable.read(folder / "trace.parquet") for folder in folders})
        logs = [(folder / "train.log").read_text() for folder in folders]
        assert all(("stacked with" if len(seeds) > 1 else "stacked, as a group of one") in log for log in logs)
        shutil.rmtree(tmp_path / "sweep")
    pair, *others = traces
    for other in others:
        for run_id in pair.keys() & other.keys():
            assert list(other[run_id].array("lr")) == list(pair[run_id].array("lr"))
            for column in ("loss", "grad_norm"):
                np.testing.assert_allclose(other[run_id].array(column), pair[run_id].array(column), rtol=1e-5)
    first, second = (trace.array("loss") for trace in pair.values())
    assert (first != second).all()
