"""Probe `critical_lr`, compared with closed forms."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from small_runs import small_plan
from torch import nn

from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.optimizers.registry import build_optimizer
from warmup_lab.probes.base import PendingUpdate, ProbeContext
from warmup_lab.probes.critical_lr import CriticalLrProbe, critical_rate, update_direction


class Quadratic(nn.Module):
    """The cross-entropy of two logits, which rises with g'w + w'Hw / 2. Both cross their start at the same rate."""

    def __init__(self, hessian: torch.Tensor, slope: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros_like(slope))
        self.hessian, self.slope = hessian, slope

    def value(self) -> torch.Tensor:
        return self.slope @ self.weight + self.weight @ self.hessian @ self.weight / 2

    def forward(self) -> SimpleNamespace:
        return SimpleNamespace(logits=torch.stack((-self.value(), torch.zeros(())))[None])


def quadratic(name: str = "sgd", **options):
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(5, 5, generator=generator)
    model = Quadratic(root @ root.T + torch.eye(5), torch.randn(5, generator=generator))
    plan = small_plan()
    plan = replace(plan, config=replace(plan.config, optimizer=OptimizerConfig(name, 0.1, options)))
    optimizer = build_optimizer(plan.config.optimizer, model)
    return model, ProbeContext(plan, model, optimizer, {"labels": torch.zeros(1, dtype=torch.int64)})


@pytest.mark.parametrize(
    ("name", "options"),
    [("sgd", {"momentum": 0.0}), ("sgd", {}), ("adam", {}), ("adamw", {"bias_correction": False}), ("adafactor", {})],
)
@pytest.mark.parametrize("lr", [0.0, 1e-3])
def test_the_critical_rate_of_a_quadratic(name, options, lr):
    """The loss rises if and only if lr > -2 g'd / d'Hd, with d the change by the optimizer at a rate of 1."""
    model, context = quadratic(name, **options)
    direction = {
        "sgd": lambda g: -g,
        "adam": lambda g: -g / (g.abs() + 1e-8),
        "adamw": lambda g: -0.1 * g / (g.abs() * math.sqrt(0.001) + 1e-8),
        # Relative to the RMS of the weights, at least 1e-3. The first update of a vector is a sign.
        "adafactor": lambda g: -1e-3 * g.sign(),
    }[name](model.slope)
    context.optimizer.zero_grad()
    model.value().backward()
    for group in context.optimizer.param_groups:
        group["lr"] = lr
    state = copy.deepcopy(context.optimizer.state_dict())
    probe = CriticalLrProbe(context)
    probe.before_update(PendingUpdate(0, [], 1.0))
    found = probe.after_update()
    expected = float(-2 * model.slope @ direction / (direction @ model.hessian @ direction))
    assert found["critical_lr"] == pytest.approx(expected, rel=1 / 30)
    assert found["critical_lr_degenerate"] == 0
    assert not model.weight.any()
    assert context.optimizer.param_groups[0]["lr"] == lr
    after = context.optimizer.state_dict()
    assert after["param_groups"] == state["param_groups"]
    torch.testing.assert_close(after["state"], state["state"], rtol=0, atol=0)


def test_degenerate_directions_have_no_critical_rate():
    def at(rate, slope, curvature):
        return 1.0 + slope * rate + curvature * rate**2

    assert critical_rate(lambda rate: at(rate, -1, 1), 1e-3) == pytest.approx(1.0, rel=1 / 30)
    assert critical_rate(lambda rate: at(rate, -1, 1), 1e3) == pytest.approx(1.0, rel=1 / 30)
    assert critical_rate(lambda rate: at(rate, 1, 1), 1e-3) is None, "the direction leads up"
    assert critical_rate(lambda rate: at(rate, -1, 0), 1e-3) is None, "the loss falls at every rate"
    assert critical_rate(lambda _: math.nan, 1e-3) is None
    assert critical_rate(lambda rate: math.nan if rate > 0.4 else 1 - rate, 1e-3) == pytest.approx(0.4, rel=1 / 30)
    _, context = quadratic()
    context.weights[0].grad = torch.zeros(5)
    probe = CriticalLrProbe(context)
    probe.before_update(PendingUpdate(0, [], 0.0))
    assert probe.after_update() == {"critical_lr": None, "critical_lr_degenerate": 1.0}


def test_the_direction_of_adamw_includes_its_weight_decay():
    model = nn.Linear(3, 2, bias=False)
    optimizer = build_optimizer(OptimizerConfig("adamw", 1e-3, {"weight_decay": 0.5}), model)
    model.weight.grad = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    weight = model.weight.detach().clone()
    (direction,) = update_direction(optimizer, [model.weight])
    expected = -model.weight.grad.sign() - 0.5 * weight
    torch.testing.assert_close(direction, expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(model.weight, weight)
