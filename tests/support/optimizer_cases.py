"""Optimizers with options, a tiny model, and updates with made-up gradients."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import torch

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.models.build import build_model

PEAK = 0.01
CASES = {
    "adamw": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    "adamw without bias correction": {"eps": 1e-6, "weight_decay": 0.1, "bias_correction": False},
    "adam": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    "sgd": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    "sgd without momentum": {"momentum": 0.0},
    "radam": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1, "decoupled_weight_decay": True},
    "nadam": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1, "momentum_decay": 0.01},
    "adafactor": {"beta2_decay": -0.7, "eps": (1e-5, 1e-2), "d": 1.5, "weight_decay": 0.1},
    "lion": {"betas": (0.8, 0.95), "weight_decay": 0.1},
    "lamb": {"betas": (0.8, 0.95), "weight_decay": 0.1, "max_weight_norm": 0.1},
    "giadam": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    "muon": {"momentum": 0.9, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    "schedulefree": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1, "r": 0.5},
}
"""Options that differ from the defaults. The name of the optimizer is the first word of the key."""


def case_config(case: str) -> OptimizerConfig:
    return OptimizerConfig(case.split()[0], PEAK, CASES[case])


def tiny_bert() -> torch.nn.Module:
    return build_model(
        RandomModel("bert", num_layers=1, hidden_size=8, num_heads=2),
        vocab_size=20, pad_id=0, label_names=("bad", "good"), max_length=8, seed=0,
    )  # fmt: skip


def multiplier(step: int) -> float:
    """A warmup of 5 updates from 0, then a slow decay."""
    return step / 5 if step < 5 else 1 - step / 100


def gradients(model: torch.nn.Module, step: int) -> Iterator[torch.Tensor]:
    """The same at every call: noise of three scales, and zeros in the last row of every parameter."""
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 10.0 ** (-step % 3)
        gradient[-1] = 0
        yield gradient.to(parameter.dtype)


def update(model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """One update, as in the in_training_mode loop: the learning rate is set first."""
    for group in optimizer.param_groups:
        group["lr"] = PEAK * multiplier(step)
    for parameter, gradient in zip(model.parameters(), gradients(model, step), strict=True):
        parameter.grad = gradient
    optimizer.step()


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def excluded_by_bert(name: str) -> bool:
    """`_do_use_weight_decay` of google-research/bert, with the `exclude_from_weight_decay` of `create_optimizer`."""
    return any(re.search(pattern, name) for pattern in ("LayerNorm", "layer_norm", "bias"))


def is_encoder_matrix(name: str, parameter: torch.Tensor) -> bool:
    return ".encoder.layer." in name and parameter.ndim == 2


def updated_by_rule(model: torch.nn.Module, rule: Callable[..., tuple], num_steps: int) -> list[np.ndarray]:
    """The parameters after `num_steps` updates of a `rule` on numpy arrays."""
    names = [name for name, _ in model.named_parameters()]
    params = [weight.numpy() for weight in weights(model)]
    moments = [(np.zeros_like(param), np.zeros_like(param)) for param in params]
    for step in range(num_steps):
        for i, gradient in enumerate(gradients(model, step)):
            decay = 0.0 if excluded_by_bert(names[i]) else 0.1
            params[i], *moments[i] = rule(
                params[i], gradient.numpy(), *moments[i], PEAK * multiplier(step), decay, step
            )
    return params


def adamw_rule(param, grad, m, v, learning_rate, weight_decay, step):  # noqa: PLR0913 - as in the paper
    """Algorithm 2 of Loshchilov & Hutter 2019, with the rate in both terms, as in PyTorch."""
    m = 0.8 * m + (1 - 0.8) * grad
    v = 0.95 * v + (1 - 0.95) * grad**2
    m_hat, v_hat = m / (1 - 0.8 ** (step + 1)), v / (1 - 0.95 ** (step + 1))
    return param - learning_rate * (m_hat / (np.sqrt(v_hat) + 1e-6) + weight_decay * param), m, v
