"""What a worker of a cluster runs, in this process."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

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
from warmup_lab.runs import finished_result
from warmup_lab.sweeps.cell_loader import CellLoader
from warmup_lab.sweeps.launchers import LauncherSetup
from warmup_lab.sweeps.worker import ClusterWorkerStop, GroupJob, GroupWork, package_version, write_context
from warmup_lab.system.devices import planned_for

WORDS = [*SMALL, *SMALL_MODEL, "max_steps=2", "eval_every=null"]
OVERRIDES = ([*WORDS, "seed=0"], [*WORDS, "seed=1"])


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


def group_work(setup: LauncherSetup, context: Path, *, device: str = "cpu", precision: str = "fp32") -> GroupWork:
    """Two jobs, planned for workers with this device."""
    jobs = []
    with planned_for(device, precision):
        for number, overrides in enumerate(OVERRIDES):
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
