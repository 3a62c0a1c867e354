"""Stacked optimizers against torch's and lion-pytorch's, update for update."""

from __future__ import annotations

import math

import pytest
import torch

from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.optimizers.registry import build_optimizer
from warmup_lab.training.stacked.optimizers import StackedOptimizer, can_be_stacked

OPTIONS = {
    "adamw": [{}, {"betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.5}, {"bias_correction": False, "eps": 1e-6}],
    "adam": [{}, {"betas": (0.8, 0.9), "weight_decay": 0.3}],
    "sgd": [{}, {"momentum": 0.0}, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}],
    "giadam": [{}, {"betas": (0.8, 0.9), "weight_decay": 0.3}],
    "radam": [
        {},
        {"betas": (0.8, 0.9), "weight_decay": 0.3},
        {"betas": (0.9, 0.99), "weight_decay": 0.3, "decoupled_weight_decay": True},
    ],
    "lion": [{}, {"betas": (0.8, 0.9), "weight_decay": 0.4}],
}


class Net(torch.nn.Module):
    """A matrix, which is decayed, and a vector, which is not."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(5))
        self.weight = torch.nn.Parameter(torch.zeros(4, 5))


@pytest.mark.parametrize("name", OPTIONS)
def test_each_row_follows_its_own_optimizer_update_for_update(name):
    """60 updates at rates that differ from run to run and update to update, and once 0."""
    configs = [OptimizerConfig(name, 1.0, options) for options in OPTIONS[name]]
    nets = [Net() for _ in configs]
    optimizers = [build_optimizer(config, net) for config, net in zip(configs, nets, strict=True)]
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(len(nets), 25, generator=generator)
    for net, row in zip(nets, weights, strict=True):
        net.weight.data, net.bias.data = row[:20].reshape(4, 5).clone(), row[20:].clone()
    stacked = StackedOptimizer(configs, weights, num_decayed=20)
    active = torch.ones(len(nets), 1, dtype=torch.bool)
    for step in range(60):
        grads = torch.randn(weights.shape, generator=generator)
        lrs = [0.01 * (1 + run) * abs(math.sin(step)) for run in range(len(nets))]
        for net, optimizer, lr, grad in zip(nets, optimizers, lrs, grads, strict=True):
            net.weight.grad, net.bias.grad = grad[:20].reshape(4, 5).clone(), grad[20:].clone()
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
        stacked.update(weights, grads, stacked.coefficients(step, lrs), active)
        alone = torch.stack([torch.cat([net.weight.flatten(), net.bias]).detach() for net in nets])
        torch.testing.assert_close(weights, alone, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_frozen_row_stays_as_it_is_and_the_others_do_not_notice(name):
    configs = [OptimizerConfig(name, 0.1)] * 3
    generator = torch.Generator().manual_seed(1)
    start, grads = torch.randn(3, 10, generator=generator), torch.randn(5, 3, 10, generator=generator)
    ends = []
    for frozen in (False, True):
        weights = start.clone()
        stacked = StackedOptimizer(configs, weights, num_decayed=6)
        active = torch.tensor([[True], [not frozen], [True]])
        for step, grad in enumerate(grads.clone()):
            grad[1] = 0.0 if frozen else grad[1]  # what `clip_gradient` hands on
            stacked.update(weights, grad, stacked.coefficients(step, [0.1] * 3), active)
        ends.append(weights)
    torch.testing.assert_close(ends[1][1], start[1], rtol=0, atol=0)
    torch.testing.assert_close(ends[1][[0, 2]], ends[0][[0, 2]], rtol=0, atol=0)
    assert not torch.equal(ends[0][1], start[1])


def test_only_what_a_rule_heeds_is_stacked():
    assert all(can_be_stacked(OptimizerConfig(name, 1e-3, one)) for name in OPTIONS for one in OPTIONS[name])
    assert not any(can_be_stacked(OptimizerConfig(name, 1e-3)) for name in ("muon", "nadam", "adafactor"))
