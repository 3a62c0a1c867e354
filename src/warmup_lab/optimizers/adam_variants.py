"""Variants of Adam that torch does not provide: BERT's AdamW, and GI-Adam with its factory.

Learning rates are set in `param_groups` before each update and may be 0. No update reads a tensor back to the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from warmup_lab.optimizers.groups import Groups


class BertAdamW(torch.optim.AdamW):
    """BERT's original optimizer: Adam without bias correction, with weight decay added to the update.

        m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
        w = w - lr (m / (sqrt(v) + eps) + weight_decay w)

    Without the corrections, the first updates are larger. With betas (0.9, 0.999), the first one is
    0.1 / sqrt(0.001) = 3.16 times Adam's. A warmup has to compensate for that.

    The class is torch's AdamW at a step so late that both corrections, 1 - beta^step, are exactly 1. AdamW's
    `w (1 - lr weight_decay) - lr m / (sqrt(v) + eps)` is then the rule above, and torch's fused kernel computes it.

    Source: `AdamWeightDecayOptimizer` in google-research/bert, optimization.py (Devlin et al. 2019).
    """

    _LATE_STEP = 2.0**60  # adding 1 changes nothing in float32, so the step stays at this value

    def __init__(self, groups: Groups, **options: Any) -> None:
        super().__init__(groups, fused=True, **options)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {
                    "step": torch.full((), self._LATE_STEP, dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }


class GradientInitialisedAdamW(torch.optim.AdamW):
    """GI-Adam: the second moment of Adam starts at the first squared gradient. Weight decay is AdamW's.

        v_0 = g_1^2, m_0 = 0; then for t = 1, 2, ...
        m_t = beta1 m_(t-1) + (1 - beta1) g_t;  v_t = beta2 v_(t-1) + (1 - beta2) g_t^2
        w = w (1 - lr weight_decay) - lr m_t / (1 - beta1^t) / (sqrt(v_t / (1 - beta2^t)) + eps)

    Both bias corrections remain, although v no longer starts at 0. This is the point of the method: v_t / (1 - beta2^t)
    is too large at first, so the rule is Adam with a built-in warmup of about sqrt(1 - beta2^t). With beta2 = 0.999
    that factor is 0.032 at the first update, 0.31 at update 100 and 0.80 at update 1,000. Without the correction of v,
    the first update would be Adam's own, lr in every weight.

    A weight whose first gradient is 0 starts at v_0 = 0, as in Adam. Everything else is torch's fused AdamW.

    Source: Kalra & Barkeshli 2024, "Why Warmup the Learning Rate? Underlying Mechanisms and Improvements",
    arXiv 2406.09405. The paper describes it as Adam with an automatic warmup of sqrt(1 - beta2^t). For a constant
    gradient that is exact if both corrections remain, as here.
    """

    def __init__(self, groups: Groups, **options: Any) -> None:
        super().__init__(groups, fused=True, **options)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not self.state[parameter]:
                    self.state[parameter] = {
                        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                        "exp_avg": torch.zeros_like(parameter),
                        "exp_avg_sq": parameter.grad.square(),
                    }
        loss: float | None = super().step(closure)
        return loss


def giadam(
    groups: Groups,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> torch.optim.Optimizer:
    """GI-Adam (Kalra & Barkeshli 2024), see `GradientInitialisedAdamW`.

    A schedule's warmup comes on top of the built-in one, about sqrt(1 - beta2^t). The paper finds that higher learning
    rates survive without a warmup with GI-Adam than with Adam.

    Args:
        groups: Parameter groups.
        lr: Peak learning rate.
        betas: Decay of the first and the second moment. Default: (0.9, 0.999).
        eps: Added to the root of the second moment. Default: 1e-8.
        weight_decay: Decoupled, as in AdamW. Default: 0.01.
    """
    return GradientInitialisedAdamW(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
