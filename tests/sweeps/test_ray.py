"""`hydra/launcher=ray` without a cluster. tests/cluster/test_ray.py runs it on one."""

from __future__ import annotations

import sys
from dataclasses import asdict

import pytest
import torch

from hydra_plugins.warmup_lab_launcher import RayConfig
from warmup_lab.config import ConfigError
from warmup_lab.sweeps.ray import RayTask, refuse_without_ray
from warmup_lab.sweeps.ray_options import RayOptions
from warmup_lab.sweeps.worker import GroupWork

OPTIONS = RayOptions(**{key: value for key, value in asdict(RayConfig()).items() if key != "_target_"})


def test_a_machine_without_ray_refuses_in_one_line_and_writes_nothing(train_py_here, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    done = train_py_here("-m", "task=synthetic_small", "tracking=none", "seed=0,1", "hydra/launcher=ray")
    assert done.returncode == 1
    assert done.stderr == "error: hydra/launcher=ray needs Ray: pip install 'warmup-lab[ray]'\n"
    assert not list(tmp_path.iterdir())


def test_runs_planned_for_a_gpu_that_tasks_do_not_have_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", sys)  # installed, whether it is or not
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match=r"this machine has a GPU.* set hydra.launcher.gpus=1, or hydra.launcher.dev"):
        refuse_without_ray(OPTIONS)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refuse_without_ray(OPTIONS)


def test_a_worker_without_the_working_directory_refuses(tmp_path):
    work = GroupWork([], str(tmp_path / "context.pkl"), "", "cpu", "fp32", stacked=False)
    with pytest.raises(ConfigError, match=r"worker .* has no folder .*/elsewhere: working directory and results must"):
        RayTask(work, str(tmp_path / "elsewhere"), {}, OPTIONS).run()
