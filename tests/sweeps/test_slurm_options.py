from __future__ import annotations

from dataclasses import asdict, fields

import pytest

from hydra_plugins.warmup_lab_launcher import SlurmConfig
from warmup_lab.config import ConfigError
from warmup_lab.sweeps.slurm_options import SlurmOptions, submission_parameters


def options(**changes) -> SlurmOptions:
    values = {**asdict(SlurmConfig()), **changes}
    return SlurmOptions(**{field.name: values[field.name] for field in fields(SlurmOptions)})


def test_parameters_are_those_of_sbatch() -> None:
    found = submission_parameters(options(partition="gpu", gpus=2, memory_gb=1.5, minutes=240), "warmup-lab-a b")
    assert found["partition"] == "gpu"
    assert (found["gpus_per_node"], found["mem"], found["time"]) == (2, "1536MB", 240)
    assert found["job_name"] == "warmup-lab-a_b"


@pytest.mark.parametrize("memory_gb", [0.0, -1.0, float("inf"), float("nan")])
def test_memory_must_be_above_zero(memory_gb) -> None:
    with pytest.raises(ConfigError, match="memory_gb"):
        submission_parameters(options(memory_gb=memory_gb), "sweep")


def test_a_checkpoint_must_be_saved_after_the_start_of_a_task() -> None:
    with pytest.raises(ConfigError, match=r"save_seconds=90.*minutes=1"):
        submission_parameters(options(minutes=1, save_seconds=90), "sweep")
    assert submission_parameters(options(minutes=1, save_seconds=59), "sweep")["signal_delay_s"] == 59


@pytest.mark.parametrize("change", [{"partition": "a\nrm x"}, {"account": "a b"}, {"minutes": 0}, {"max_requeues": -1}])
def test_values_that_a_batch_script_may_not_have_are_refused(change) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        submission_parameters(options(**change), "sweep")
