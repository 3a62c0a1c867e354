"""What the nodes of a Ray cluster have. tests/cluster/test_ray.py connects to one."""

from __future__ import annotations

import pytest

from warmup_lab.sweeps.ray_cluster import _tasks_of


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
