"""Optimizers by name. The keyword signature of each factory is the schema of its `optimizer.*` options.

All are torch's own classes, in the fastest form that is deterministic (on one CPU thread, BERT-tiny, 1.5 million
weights: AdamW 1.6 ms fused, 11 ms foreach, 12 ms as a loop), but `lion` (lion-pytorch) and BERT's own AdamW.
The training loop sets the learning rate before each update: `group["lr"] = peak * multiplier`, which may be 0.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from warmup_lab.config import bind_options
from warmup_lab.schema import ConfigError, OptimizerConfig, lookup, require

Groups = list[dict[str, Any]]
"""Parameter groups as torch takes them, each with its own `weight_decay`."""


class BertAdamW(torch.optim.AdamW):
    """BERT's original optimizer: Adam without bias correction, weight decay added to the update.

        m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
        w = w - lr (m / (sqrt(v) + eps) + weight_decay w)

    Without the corrections the first updates are larger: with betas (0.9, 0.999) the first one is
    0.1 / sqrt(0.001) = 3.16 times Adam's, which is one thing that warmup has to make up for.

    It is torch's AdamW at a step so late that both corrections, 1 - beta^step, are exactly 1: then AdamW's
    `w (1 - lr weight_decay) - lr m / (sqrt(v) + eps)` is the rule above, and its fused kernel does the work.

    Source: `AdamWeightDecayOptimizer` in google-research/bert, optimization.py (Devlin et al. 2019).
    """

    _LATE = 2.0**60  # adding 1 to it changes nothing in float32, so it stays there

    def __init__(self, groups: Groups, **options: Any) -> None:
        super().__init__(groups, fused=True, **options)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {
                    "step": torch.full((), self._LATE, dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }


def adamw(
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    bias_correction: bool = True,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019); `bias_correction=False` is `BertAdamW`.

    BERT as published: `bias_correction=False, eps=1e-6`.
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
    """Adam (Kingma & Ba 2015); weight decay is L2, added to the gradient."""
    return torch.optim.Adam(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)


def sgd(
    groups: Groups, lr: float, *, momentum: float = 0.9, nesterov: bool = False, weight_decay: float = 0.0
) -> Optimizer:
    """Gradient descent with momentum; weight decay is L2, added to the gradient."""
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
    """Rectified Adam (Liu et al. 2020): its first 5 updates, with beta2 = 0.999, are momentum alone.

    The rectification is a warmup of its own; a schedule's warmup comes on top.
    """
    return torch.optim.RAdam(
        groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay, foreach=True,
    )  # fmt: skip


def nadam(
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> Optimizer:
    """Adam with Nesterov momentum (Dozat 2016)."""
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
    """Adafactor (Shazeer & Stern 2018) as torch has it: `lr` is relative to the RMS of each weight matrix.

    Update t = 1, 2, ... uses min(lr, 1 / sqrt(t)): a schedule is followed only while its rate is below that.
    """
    return torch.optim.Adafactor(groups, lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay)


def lion(
    groups: Groups, lr: float, *, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
) -> Optimizer:
    """Lion (Chen et al. 2023), the sign of momentum, from lion-pytorch; weight decay is decoupled, as in AdamW."""
    try:
        from lion_pytorch import Lion
    except ImportError:
        raise ConfigError("optimizer=lion needs a package more: pip install 'warmup-lab[optimizers]'") from None
    optimizer: Optimizer = Lion(groups, lr=lr, betas=betas, weight_decay=weight_decay)
    return optimizer


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": adamw,
    "adam": adam,
    "sgd": sgd,
    "radam": radam,
    "nadam": nadam,
    "adafactor": adafactor,
    "lion": lion,
}


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> Groups:
    """Matrices (weights of linear layers, embeddings) with `weight_decay`, all vectors without any.

    In BERT and its kin the vectors are the biases and the weights of the LayerNorms, which BERT's own code leaves
    out of weight decay by their names (`bias`, `LayerNorm`); the dimension says it for other architectures too.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [one for one in parameters if one.ndim >= 2], "weight_decay": weight_decay},
        {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},
    ]


def check_options(config: OptimizerConfig) -> dict[str, Any]:
    """All options of the optimizer, defaults included; unknown names, wrong types and values raise `ConfigError`."""
    factory = lookup(OPTIMIZERS, config.name, "optimizer")
    bound = bind_options(factory, config.options, "optimizer.")
    signature = inspect.signature(factory).parameters.values()
    defaults = {item.name: item.default for item in signature if item.default is not inspect.Parameter.empty}
    options = {**defaults, **bound}
    for name, value in options.items():
        for number in value if isinstance(value, tuple) else (value,):
            _check_range(name, value, number)
    plain = not options.get("momentum")
    require(not (options.get("nesterov") and plain), "optimizer.nesterov=true needs optimizer.momentum above 0")
    return options


def build_optimizer(config: OptimizerConfig, model: torch.nn.Module) -> Optimizer:
    """The optimizer of `config` for the trained parameters of `model`, where they are now (move the model first)."""
    options = check_options(config)
    groups = parameter_groups(model, options["weight_decay"])
    optimizer: Optimizer = lookup(OPTIMIZERS, config.name, "optimizer")(groups, config.lr, **options)
    return optimizer


_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "betas": (lambda number: 0 <= number < 1, "each must lie in [0, 1)"),
    "momentum": (lambda number: 0 <= number < 1, "must lie in [0, 1)"),
    "eps": (lambda number: 0 < number < math.inf, "must be above 0"),
    "weight_decay": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "momentum_decay": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "beta2_decay": (lambda number: -math.inf < number < 0, "must be below 0"),
    "d": (lambda number: 1 <= number < math.inf, "must be at least 1"),
}


def _check_range(name: str, value: Any, number: float | None) -> None:
    """`number` is the value or a part of it; comparisons with nan are false, so nan is refused too."""
    if name in _RANGES and number is not None:
        good, words = _RANGES[name]
        require(good(number), f"optimizer.{name}={value}: {words}")
