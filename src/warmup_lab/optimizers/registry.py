"""Optimizers by name. The keyword signature of each factory is the schema of its `optimizer.*` options.

Most are torch's own classes, in the fastest form that is deterministic (on one CPU thread, BERT-tiny, 1.5 million
weights: AdamW 1.6 ms fused, 11 ms foreach, 12 ms as a loop). `lion` and `schedulefree` come from packages, and what
torch lacks or has in parts is in `update_rules`.
The training loop sets the learning rate before each update: `group["lr"] = peak * multiplier`, which may be 0.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import Optimizer

from warmup_lab.config import ConfigError, OptimizerConfig, bind_options, lookup, require
from warmup_lab.optimizers.adam_variants import BertAdamW, GradientInitialisedAdamW
from warmup_lab.optimizers.groups import _HIDDEN_APART, Groups, parameter_groups
from warmup_lab.optimizers.lamb import Lamb
from warmup_lab.optimizers.muon import MuonWithAdamW


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
    optimizer: Optimizer = _package("lion", "lion_pytorch").Lion(groups, lr=lr, betas=betas, weight_decay=weight_decay)
    return optimizer


def lamb(
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    max_weight_norm: float | None = None,
    adapt_vectors: bool = False,
) -> Optimizer:
    """LAMB (You et al. 2020): an update changes each matrix by the share `lr` of its norm; see `update_rules.Lamb`.

    `max_weight_norm` bounds the norm that counts (10 in some libraries); null leaves it as it is.
    Made for large batches, and not without warmup: at 512 to 32,768 sentences a batch the paper warms BERT up for
    1/320 to 1/5 of its updates. What the trust ratio takes over is that no layer moves too far for its size.
    """
    return Lamb(
        groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, max_weight_norm=max_weight_norm,
        adapt_vectors=adapt_vectors,
    )  # fmt: skip


def giadam(
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:
    """GI-Adam (Kalra & Barkeshli 2024): AdamW whose second moment starts at the first squared gradient.

    A warmup of its own, by about sqrt(1 - beta2^t), which a schedule's comes on top of: the paper finds that with it
    higher rates survive without warmup. See `update_rules.GradientInitialisedAdamW`.
    """
    return GradientInitialisedAdamW(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def muon(
    groups: Groups,
    lr: float,
    *,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_steps: int = 5,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:
    """Muon (Jordan et al. 2024) for the matrices of the stacked layers, AdamW for embeddings, pooler, head and vectors.

    `momentum`, `nesterov`, `ns_steps` are Muon's, `betas`, `eps` AdamW's; `lr` and `weight_decay` are both's, since
    Muon's update is scaled to the RMS of AdamW's (Liu et al. 2025). An orthogonal update has its full size from the
    first on, whatever the gradient: the warmup that Adam's second moment asks for is AdamW's part alone.
    See `update_rules.Muon`.
    """
    both = {"lr": lr, "weight_decay": weight_decay}
    own = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
    return MuonWithAdamW(groups, muon=both | own, adamw=both | {"betas": betas, "eps": eps})


def schedulefree(
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
) -> Optimizer:
    """Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682) from the package schedulefree.

        y = (1 - beta1) z + beta1 x                           the gradient is taken here; the loop trains and probes y
        v = beta2 v + (1 - beta2) g^2;  d = g / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay y
        z = z - lr d
        x = (1 - c) x + c z,  c = s_t / (s_1 + ... + s_t)     evaluated and saved, see `evaluating`
        s_t = t^r max(lr_1 ... lr_t)^weight_lr_power

    The average x replaces the decay of a schedule, not its warmup: the paper keeps a linear warmup and then a constant
    rate, which is `scheduler=warmupconstant`. Weights of the average grow with the rate, so that updates of a warmup
    count little, and one at rate 0 not at all. A schedule that decays makes steps shorter on top of the averaging,
    while c stays that of the highest rate so far.
    """
    optimizer: Optimizer = _package("schedulefree", "schedulefree").AdamWScheduleFree(
        groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, r=r, weight_lr_power=weight_lr_power
    )
    optimizer.train()  # type: ignore[attr-defined]
    return optimizer


def _package(name: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(f"optimizer={name} needs a package more: pip install 'warmup-lab[optimizers]'") from None


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": adamw,
    "adam": adam,
    "sgd": sgd,
    "radam": radam,
    "nadam": nadam,
    "adafactor": adafactor,
    "lion": lion,
    "lamb": lamb,
    "giadam": giadam,
    "muon": muon,
    "schedulefree": schedulefree,
}


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
    averages = config.name.lower() == "schedulefree"
    require(not averages or options["betas"][0] > 0, "optimizer.betas: schedulefree needs the first above 0")
    return options


def build_optimizer(config: OptimizerConfig, model: torch.nn.Module) -> Optimizer:
    """The optimizer of `config` for the trained parameters of `model`, where they are now (move the model first)."""
    options = check_options(config)
    groups = parameter_groups(model, options["weight_decay"], hidden_apart=config.name.lower() in _HIDDEN_APART)
    optimizer: Optimizer = lookup(OPTIMIZERS, config.name, "optimizer")(groups, config.lr, **options)
    return optimizer


@contextmanager
def evaluating(optimizer: Optimizer) -> Iterator[None]:
    """Inside, the model has the weights that its optimizer means to be used: those of training, or their average.

    Only `schedulefree` averages. Its own `eval` and `train` go back and forth with a rounding error; here the weights
    of training are kept and put back as they were, so that an evaluation changes nothing, for one copy of the weights.
    """
    if not hasattr(optimizer, "eval"):
        yield
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept = [parameter.detach().clone() for parameter in parameters]
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()  # type: ignore[attr-defined]
        with torch.no_grad():
            torch._foreach_copy_(parameters, kept)


_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "betas": (lambda number: 0 <= number < 1, "each must lie in [0, 1)"),
    "momentum": (lambda number: 0 <= number < 1, "must lie in [0, 1)"),
    "eps": (lambda number: 0 < number < math.inf, "must be above 0"),
    "weight_decay": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "momentum_decay": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "beta2_decay": (lambda number: -math.inf < number < 0, "must be below 0"),
    "max_weight_norm": (lambda number: 0 < number < math.inf, "must be above 0, or null for no bound"),
    "ns_steps": (lambda number: 1 <= number < 100, "must lie in 1 .. 99"),
    "r": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "weight_lr_power": (lambda number: 0 <= number < math.inf, "must be 0 or above"),
    "d": (lambda number: 1 <= number < math.inf, "must be at least 1"),
}


def _check_range(name: str, value: Any, number: float | None) -> None:
    """`number` is the value or a part of it; comparisons with nan are false, so nan is refused too."""
    if name in _RANGES and number is not None:
        good, words = _RANGES[name]
        require(good(number), f"optimizer.{name}={value}: {words}")
