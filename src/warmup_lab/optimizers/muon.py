"""Muon for hidden matrices, AdamW for the rest (Jordan et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from warmup_lab.optimizers.groups import Groups


class Muon(Optimizer):
    """Momentum made orthogonal, for matrices alone.

        b = momentum b + (1 - momentum) g;  d = (1 - momentum) g + momentum b, or b without nesterov
        w = w (1 - lr weight_decay) - 0.2 sqrt(max(rows, columns)) lr orthogonal(d)

    orthogonal(d) sets the singular values of d to about 1 (0.7 to 1.2) by `ns_steps` iterations of Newton and Schulz.
    The factor before lr gives the update the RMS that AdamW's usually has, 0.2 (Liu et al. 2025), so that learning rate
    and weight decay mean what they mean there.

    It is torch.optim.Muon with adjust_lr_fn="match_rms_adamw", but in float32: torch's iterates in bfloat16, which a
    CPU without instructions for it does more than ten times slower (BERT-tiny, one thread: 583 ms an update).

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the factor from Liu et al.
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
    """`U V^T` of the matrix's `U S V^T`, roughly: its singular values are brought to about 1, and 0 stays 0.

    Each step maps a singular value s to 3.4445 s - 4.7750 s^3 + 2.0315 s^5, from S divided by its Frobenius norm.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # (rows, columns), rows <= columns: the smaller products
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(num_steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class MuonWithAdamW(Optimizer):
    """`Muon` for groups of the role `hidden`, torch's fused AdamW for all others, behind one optimizer.

    State and groups are held here; the two parts only ever see their share of them, so that whoever sets a learning
    rate, saves or restores has to know of one optimizer alone.
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
            part.param_groups, part.state = groups, self.state  # anew: load_state_dict makes new ones
            part.step()
        return loss


def _split(groups: Groups) -> tuple[Groups, Groups]:
    hidden = [group for group in groups if group["role"] == "hidden"]
    return hidden, [group for group in groups if group["role"] != "hidden"]
