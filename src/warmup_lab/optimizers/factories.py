"""Factories of optimizers that come from torch or from another package.

The keyword-only arguments of a factory are its options: their names, types and defaults are the schema of
`optimizer.*`. Each factory takes torch's class in its fastest deterministic form (BERT-tiny, 1.5 million weights, one
CPU thread: AdamW takes 1.6 ms fused, 11 ms foreach, 12 ms as a loop).
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch.optim import Optimizer

from warmup_lab.config import ConfigError
from warmup_lab.optimizers.adam_variants import BertAdamW
from warmup_lab.optimizers.groups import Groups

# ------------------------------------------------------------------------------------------------------- torch


def adamw(
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    bias_correction: bool = True,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019).

    BERT as published is `bias_correction=False, eps=1e-6`.

    Args:
        groups: Parameter groups.
        lr: Peak learning rate.
        betas: Decay of the first and the second moment. Default: (0.9, 0.999).
        eps: Added to the root of the second moment. Default: 1e-8.
        weight_decay: Decoupled weight decay. Default: 0.01.
        bias_correction: Divide both moments by 1 - beta^t. False gives `BertAdamW`. Default: True.
    """
    if not bias_correction:
        return BertAdamW(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)


def adam(
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam (Kingma & Ba 2015).

    Args:
        groups: Parameter groups.
        lr: Peak learning rate.
        betas: Decay of the first and the second moment. Default: (0.9, 0.999).
        eps: Added to the root of the second moment. Default: 1e-8.
        weight_decay: L2 penalty, added to the gradient. Default: 0.
    """
    return torch.optim.Adam(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)


def sgd(
    groups: Groups, lr: float, *, momentum: float = 0.9, nesterov: bool = False, weight_decay: float = 0.0
) -> Optimizer:
    """Gradient descent with momentum.

    Args:
        groups: Parameter groups.
        lr: Peak learning rate.
        momentum: Decay of the velocity. Default: 0.9; torch's is 0.
        nesterov: Use Nesterov momentum; needs a momentum above 0. Default: False.
        weight_decay: L2 penalty, added to the gradient. Default: 0.
    """
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, fused=True)


def radam(
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> Optimizer:
    """Rectified Adam (Liu et al. 2020). With beta2 = 0.999 its first 5 updates are momentum only.

    The rectification is a built-in warmup. A schedule's warmup comes on top of it.

    Args:
        groups: Parameter groups.
        lr: Peak learning rate.
        betas: Decay of the first and the second moment. Default: (0.9, 0.999).
        eps: Added to the root of the second moment. Default: 1e-8.
        weight_decay: L2 penalty, added to the gradient, unless `decoupled_weight_decay`. Default: 0.
        decoupled_weight_decay: Decay the weights as AdamW does. Default: False.
    """
    return torch.optim.RAdam(
        groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay, foreach=True,
    )  # fmt: skip


def nadam(  # noqa: PLR0913 - the keywords are the optimizer's options
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> Optimizer:
    """Adam with Nesterov momentum (Dozat 2016).

    Args:
        groups: Parameter groups.
        lr: Peak learning rate.
        betas: Decay of the first and the second moment. Default: (0.9, 0.999).
        eps: Added to the root of the second moment. Default: 1e-8.
        weight_decay: L2 penalty, added to the gradient, unless `decoupled_weight_decay`. Default: 0.
        momentum_decay: Rate at which the momentum approaches beta1. Default: 0.004.
        decoupled_weight_decay: Decay the weights as AdamW does. Default: False.
    """
    return torch.optim.NAdam(
        groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
        decoupled_weight_decay=decoupled_weight_decay, foreach=True,
    )  # fmt: skip


def adafactor(
    groups: Groups,
    lr: float,
    *,
    beta2_decay: float = -0.8,
    eps: tuple[float | None, float] = (None, 1e-3),
    d: float = 1.0,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adafactor (Shazeer & Stern 2018), torch's version: `lr` is relative to the RMS of each weight matrix.

    Update t = 1, 2, ... uses min(lr, 1 / sqrt(t)), so it follows a schedule only while the schedule's rate is lower.

    Args:
        groups: Parameter groups.
        lr: Peak learning rate, relative to the RMS of the weights.
        beta2_decay: beta2 at update t is 1 - t ** beta2_decay. Default: -0.8.
        eps: Lower bounds of the squared-gradient estimate (null: the epsilon of the dtype) and of the RMS of a weight.
            Default: (null, 1e-3).
        d: An update whose RMS is above `d` is scaled down to it. Default: 1.
        weight_decay: Decoupled weight decay. Default: 0.
    """
    return torch.optim.Adafactor(groups, lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay)


# ---------------------------------------------------------------------------------------------- other packages


def lion(
    groups: Groups, lr: float, *, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
) -> Optimizer:
    """Lion (Chen et al. 2023), from the package lion-pytorch: the sign of a momentum.

    Args:
        groups: Parameter groups.
        lr: Peak learning rate.
        betas: Weight of the momentum in the update, and decay of the momentum. Default: (0.9, 0.99).
        weight_decay: Decoupled, as in AdamW. Default: 0.
    """
    package = _import("lion_pytorch", optimizer="lion")
    optimizer: Optimizer = package.Lion(groups, lr=lr, betas=betas, weight_decay=weight_decay)
    return optimizer


def schedulefree(  # noqa: PLR0913 - the keywords are the optimizer's options
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
) -> Optimizer:
    """Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682), from the package schedulefree.

        y = (1 - beta1) z + beta1 x                           the gradient is taken here; the loop trains and probes y
        v = beta2 v + (1 - beta2) g^2;  d = g / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay y
        z = z - lr d
        x = (1 - c) x + c z,  c = s_t / (s_1 + ... + s_t)     evaluated and saved, see `evaluating`
        s_t = t^r max(lr_1 ... lr_t)^weight_lr_power

    The average x replaces the decay of a schedule, but not its warmup. The paper uses a linear warmup and then a
    constant rate, which is `scheduler=warmupconstant`. The weights of the average grow with the rate, so the updates of
    a warmup count little, and an update at rate 0 does not count. A schedule that decays shortens the steps in addition
    to the averaging, while c remains that of the highest rate so far.

    Args:
        groups: Parameter groups.
        lr: Peak learning rate.
        betas: Share of x in y, above 0, and decay of the second moment. Default: (0.9, 0.999).
        eps: Added to the root of the second moment. Default: 1e-8.
        weight_decay: Added to the step, at y. Default: 0.
        r: Power of t in the weights of the average. Default: 0.
        weight_lr_power: Power of the rate in the weights of the average. Default: 2.
    """
    optimizer: Optimizer = _import("schedulefree", optimizer="schedulefree").AdamWScheduleFree(
        groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, r=r, weight_lr_power=weight_lr_power
    )
    optimizer.train()  # type: ignore[attr-defined]
    return optimizer


def _import(module: str, *, optimizer: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(
            f"optimizer={optimizer} needs the package {module}: pip install 'warmup-lab[optimizers]'"
        ) from None
