"""The keys of `hydra/launcher=ray`."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest

from hydra_plugins.warmup_lab_launcher import RayConfig
from warmup_lab.config import ConfigError
from warmup_lab.sweeps.ray_options import RayOptions, check_ray_options

KEYS = {key: value for key, value in asdict(RayConfig()).items() if key != "_target_"}
DEFAULTS = RayOptions(**KEYS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"address": "ray://head:10001"}, "Ray Client"),
        ({"address": "head"}, "address=head: must be auto or host:port"),
        ({"cpus": 0}, "cpus=0: must be above 0"),
        ({"runs_per_task": 0}, "runs_per_task=0: must be above 0"),
        ({"max_resubmits": -1}, "max_resubmits=-1: must be 0 or more"),
        ({"save_seconds": math.nan}, "save_seconds=nan: must be 0 or more"),
        ({"gpus": 1.5}, "gpus=1.5: must be a whole number, or a fraction"),
        ({"gpus": math.inf}, "gpus=inf: must be a whole number, or a fraction"),
        ({"gpus": -1}, "gpus=-1: must be a whole number, or a fraction"),
        ({"gpus": 0.5, "stacked": True}, "gpus=0.5: stacked groups are sized for a whole GPU"),
        ({"memory_gb": 0}, "memory_gb=0: must be above 0"),
        ({"address": "auto", "dashboard": True}, "for a cluster that the sweep starts"),
        ({"device": "cuda"}, "device=cuda needs hydra.launcher.gpus=1"),
    ],
    ids=lambda value: ",".join(f"{key}={one}" for key, one in value.items()) if isinstance(value, dict) else "",
)
def test_invalid_values_are_refused(changes, message):
    with pytest.raises(ConfigError) as refused:
        check_ray_options(replace(DEFAULTS, **changes))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "changes", [{}, {"address": "auto"}, {"address": "10.0.0.1:6379"}, {"gpus": 0.25}, {"gpus": 2, "device": "cuda"}]
)
def test_valid_values(changes):
    check_ray_options(replace(DEFAULTS, **changes))


def test_resources_of_a_task():
    assert DEFAULTS.resources == {"CPU": 1}
    options = replace(DEFAULTS, cpus=4, gpus=0.5, memory_gb=1.5)
    assert options.resources == {"CPU": 4, "GPU": 0.5, "memory": 1_610_612_736}
