"""LAMB, compared with the published rule in numpy."""

import numpy as np
import pytest
import torch
from optimizer_cases import case_config, tiny_bert, update, updated_by_rule, weights

from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.optimizers.registry import build_optimizer


def lamb_rule(param, grad, m, v, learning_rate, weight_decay, step):  # noqa: PLR0913 - as in the paper
    """Algorithm 2 of You et al. 2020, phi(z) = min(z, 0.1); vectors have no trust ratio, as in BERT's LAMB."""
    m = 0.8 * m + (1 - 0.8) * grad
    v = 0.95 * v + (1 - 0.95) * grad**2
    r = (m / (1 - 0.8 ** (step + 1))) / (np.sqrt(v / (1 - 0.95 ** (step + 1))) + 1e-6)
    update = r + weight_decay * param
    ratio = min(np.linalg.norm(param), 0.1) / np.linalg.norm(update) if param.ndim == 2 else 1.0
    return param - learning_rate * ratio * update, m, v


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
def test_equals_the_published_rule(dtype, tolerance):
    model = tiny_bert().to(dtype)
    expected = updated_by_rule(model, lamb_rule, num_steps=20)
    optimizer = build_optimizer(case_config("lamb"), model)
    for step in range(20):
        update(model, optimizer, step)
    for ours, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=tolerance, atol=tolerance)


def test_lamb_changes_a_matrix_by_lr_of_its_norm_and_a_zero_bias_as_adam():
    layer = torch.nn.Linear(5, 4)
    torch.nn.init.zeros_(layer.bias)
    before = layer.weight.detach().clone()
    optimizer = build_optimizer(OptimizerConfig("lamb", 0.02), layer)
    layer(torch.ones(3, 5)).square().sum().backward()
    optimizer.step()
    assert ((layer.weight - before).norm() / before.norm()).item() == pytest.approx(0.02, rel=1e-5)
    np.testing.assert_allclose(layer.bias.detach().abs(), 0.02, rtol=1e-4)
