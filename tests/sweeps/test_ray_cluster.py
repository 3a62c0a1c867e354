"""What the nodes of a Ray cluster have. tests/cluster/test_ray.py connects to one."""

from __future__ import annotations

import socket
from dataclasses import asdict

import pytest

from hydra_plugins.warmup_lab_launcher import RayConfig
from warmup_lab.config import ConfigError
from warmup_lab.sweeps.ray_cluster import _tasks_of, connect
from warmup_lab.sweeps.ray_options import RayOptions


def test_an_address_where_nothing_listens_is_refused():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        keys = {key: value for key, value in asdict(RayConfig(address=address)).items() if key != "_target_"}
        with pytest.raises(ConfigError, match=f"address={address} does not answer .*Connection refused"):
            connect(RayOptions(**keys))


@pytest.mark.parametrize(
    ("has", "needs", "num"),
    [
        ({"CPU": 8.0, "memory": 4e9}, {"CPU": 2}, 4),
        ({"CPU": 8.0, "memory": 4e9}, {"CPU": 2, "memory": 3e9}, 1),
        ({"CPU": 8.0, "GPU": 1.0}, {"CPU": 1, "GPU": 0.5}, 2),
        ({"CPU": 8.0}, {"CPU": 1, "GPU": 1}, 0),
        ({"CPU": 1.0}, {"CPU": 2}, 0),
        ({}, {"CPU": 1}, 0),
    ],
    ids=["cores", "memory", "half a GPU", "no GPU", "too small", "a node for other things"],
)
def test_tasks_that_fit_on_a_node(has, needs, num):
    assert _tasks_of(has, needs) == num
