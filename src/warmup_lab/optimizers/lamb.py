"""LAMB (You et al. 2020) and its factory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from warmup_lab.optimizers.groups import Groups


class Lamb(Optimizer):
    """LAMB: Adam's update, scaled for each tensor to the norm of its weights.

        m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
        u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay w
        w = w - lr phi(|w|) / |u| u,  phi(z) = min(z, max_weight_norm)

    So `lr` is the relative change of a tensor in one update: |change| = lr |w|, whatever the gradient. The trust ratio
    phi(|w|) / |u| is 1 if |w| or |u| is 0. Groups of the role `vectors` have no trust ratio unless `adapt_vectors` is
    set: a bias starts at 0 and could then grow only by the share `lr` per update. BERT's LAMB excludes the same
    parameters, LayerNorms and biases, from weight decay and from the trust ratio.

    Source: You et al. 2020, "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", algorithm 2,
    arXiv 1904.00962. Their phi is the identity unless it is bounded.
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
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                self._update(group, parameters)
        return loss

    def _update(self, group: dict[str, Any], parameters: list[torch.Tensor]) -> None:
        updates = self._adam(group, parameters)
        if group["weight_decay"]:
            torch._foreach_add_(updates, parameters, alpha=group["weight_decay"])
        if group["role"] != "vectors" or group["adapt_vectors"]:
            torch._foreach_mul_(updates, self._trust_ratios(group, parameters, updates))
        torch._foreach_add_(parameters, updates, alpha=-group["lr"])

    def _adam(self, group: dict[str, Any], parameters: list[torch.Tensor]) -> list[torch.Tensor]:
        """Adam's direction for each parameter, with bias corrections."""
        beta1, beta2 = group["betas"]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state |= {
                    "step": 0,
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
            state["step"] += 1
        means, squares = ([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq"))
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        updates = torch._foreach_div(means, [1 - beta1 ** state["step"] for state in states])
        divisors = torch._foreach_div(squares, [1 - beta2 ** state["step"] for state in states])
        torch._foreach_sqrt_(divisors)
        torch._foreach_add_(divisors, group["eps"])
        torch._foreach_div_(updates, divisors)
        return list(updates)

    @staticmethod
    def _trust_ratios(
        group: dict[str, Any], parameters: list[torch.Tensor], updates: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        weight_norms, update_norms = (
            torch.stack(torch._foreach_norm(parameters)),
            torch.stack(torch._foreach_norm(updates)),
        )
        scales = weight_norms.clamp(max=group["max_weight_norm"]) if group["max_weight_norm"] else weight_norms
        apply = (weight_norms > 0) & (update_norms > 0)
        return list(torch.where(apply, scales / update_norms, 1.0).unbind())


def lamb(  # noqa: PLR0913 - the keywords are the optimizer's options
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    max_weight_norm: float | None = None,
    adapt_vectors: bool = False,
) -> Optimizer:
    """LAMB (You et al. 2020), see `Lamb`: an update changes each matrix by the share `lr` of its norm.

    LAMB is made for large batches, and it needs a warmup: with 512 to 32,768 sentences per batch, the paper warms BERT
    up for 1/320 to 1/5 of its updates. The trust ratio ensures only that no layer moves too far for its size.

    Args:
        groups: Parameter groups.
        lr: Peak learning rate: the relative change of a matrix per update.
        betas: Decay of the first and the second moment. Default: (0.9, 0.999).
        eps: Added to the root of the second moment. Default: 1e-6, as in BERT.
        weight_decay: Added to Adam's update before the trust ratio. Default: 0.01, as in BERT.
        max_weight_norm: Upper bound of the weight norm in the trust ratio; some libraries use 10. Default: no bound.
        adapt_vectors: Use the trust ratio for biases and LayerNorms too. Default: False.
    """
    return Lamb(
        groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, max_weight_norm=max_weight_norm,
        adapt_vectors=adapt_vectors,
    )  # fmt: skip
