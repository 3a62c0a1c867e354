"""Muon for hidden matrices, AdamW for the rest (Jordan et al. 2024), and the factory of both."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from warmup_lab.optimizers.groups import Groups


class Muon(Optimizer):
    """Muon: orthogonalized momentum, for matrices only.

        b = momentum b + (1 - momentum) g;  d = (1 - momentum) g + momentum b, or b without nesterov
        w = w (1 - lr weight_decay) - 0.2 sqrt(max(rows, columns)) lr orthogonal(d)

    orthogonal(d) sets the singular values of d to about 1 (0.7 to 1.2) with `ns_steps` Newton-Schulz iterations. The
    factor before lr gives the update an RMS of 0.2, the usual RMS of AdamW's updates (Liu et al. 2025). Learning rate
    and weight decay therefore mean the same as in AdamW.

    The class equals torch.optim.Muon with adjust_lr_fn="match_rms_adamw", but computes in float32. torch iterates in
    bfloat16, which is more than ten times slower on a CPU without bfloat16 instructions (BERT-tiny, one thread: 583 ms
    per update).

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks". The factor is from Liu et al.
    2025, "Muon is Scalable for LLM Training", arXiv 2502.16982.
    """

    def __init__(self, groups: Groups, **options: Any) -> None:
        super().__init__(groups, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(group, parameter, parameter.grad)
        return loss

    def _update(self, group: dict[str, Any], parameter: torch.Tensor, gradient: torch.Tensor) -> None:
        state, momentum = self.state[parameter], group["momentum"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        direction = gradient.lerp(mean, momentum) if group["nesterov"] else mean
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        scale = 0.2 * math.sqrt(max(parameter.shape))
        parameter.add_(orthogonal(direction, group["ns_steps"]), alpha=-group["lr"] * scale)


def orthogonal(matrix: torch.Tensor, num_steps: int) -> torch.Tensor:
    """An approximation of `U V^T` for the matrix `U S V^T`: singular values become about 1, and 0 stays 0.

    S is divided by its Frobenius norm. Each step then maps a singular value s to 3.4445 s - 4.7750 s^3 + 2.0315 s^5.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # (rows, columns) with rows <= columns, so the products are small
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(num_steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class MuonWithAdamW(Optimizer):
    """`Muon` for groups of the role `hidden` and torch's fused AdamW for all others, as one optimizer.

    This class holds the state and the groups, and passes each of the two optimizers its share. Callers that set a
    learning rate, save or restore see a single optimizer.
    """

    def __init__(self, groups: Groups, *, muon: dict[str, Any], adamw: dict[str, Any]) -> None:
        hidden, others = _split(groups)
        self._parts = (Muon(hidden, **muon), torch.optim.AdamW(others, fused=True, **adamw))
        super().__init__([group for part in self._parts for group in part.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part, groups in zip(self._parts, _split(self.param_groups), strict=True):
            part.param_groups, part.state = groups, self.state  # load_state_dict replaces both
            part.step()
        return loss


def _split(groups: Groups) -> tuple[Groups, Groups]:
    hidden = [group for group in groups if group["role"] == "hidden"]
    return hidden, [group for group in groups if group["role"] != "hidden"]


def muon(  # noqa: PLR0913 - the keywords are the optimizer's options
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
    """Muon (Jordan et al. 2024) for the matrices of the stacked layers, AdamW for all other parameters.

    AdamW updates embeddings, pooler, head and vectors. An orthogonal update has its full size from the first update on,
    whatever the gradient. Only AdamW's part needs the warmup that Adam's second moment calls for. See `Muon`.

    Args:
        groups: Parameter groups, with the role `hidden` for Muon.
        lr: Peak learning rate of both: Muon's update is scaled to the RMS of AdamW's (Liu et al. 2025).
        momentum: Muon's momentum. Default: 0.95.
        nesterov: Use Nesterov momentum in Muon. Default: True.
        ns_steps: Newton-Schulz iterations per update. Default: 5.
        betas: Decay of AdamW's first and second moment. Default: (0.9, 0.999).
        eps: Added to the root of AdamW's second moment. Default: 1e-8.
        weight_decay: Decoupled weight decay of both. Default: 0.01.
    """
    shared = {"lr": lr, "weight_decay": weight_decay}
    own = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
    return MuonWithAdamW(groups, muon=shared | own, adamw=shared | {"betas": betas, "eps": eps})
