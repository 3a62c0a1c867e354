"""Update rules that torch lacks or has in parts, each as one `torch.optim.Optimizer`: the loop sees no difference.

Learning rates are set in `param_groups` before each update and may be 0. No rule reads a tensor back to the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from warmup_lab.optimizers.groups import Groups


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


class GradientInitialisedAdamW(torch.optim.AdamW):
    """GI-Adam: Adam with its second moment started at the first squared gradient; weight decay as in AdamW.

        v_0 = g_1^2, m_0 = 0; then for t = 1, 2, ...
        m_t = beta1 m_(t-1) + (1 - beta1) g_t;  v_t = beta2 v_(t-1) + (1 - beta2) g_t^2
        w = w (1 - lr weight_decay) - lr m_t / (1 - beta1^t) / (sqrt(v_t / (1 - beta2^t)) + eps)

    Both bias corrections stay, although v no longer starts at 0, and that is what it is about: v_t / (1 - beta2^t)
    is too large at first, so that the rule is Adam's with a warmup of its own, by about sqrt(1 - beta2^t). With
    beta2 = 0.999 that is 0.032 at the first update, 0.31 at update 100 and 0.80 at update 1,000; with the correction
    of v dropped, the first update would be Adam's own, lr in every weight.

    A weight whose first gradient is 0 starts at v_0 = 0, as in Adam. All else is torch's fused AdamW.

    Source: Kalra & Barkeshli 2024, "Why Warmup the Learning Rate? Underlying Mechanisms and Improvements",
    arXiv 2406.09405. They describe it as Adam with an automatic warmup by sqrt(1 - beta2^t), which it is for a constant
    gradient if both corrections stay, as here.
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
