"""Update rules that torch lacks or has in parts, each as one `torch.optim.Optimizer`: the loop sees no difference.

Learning rates are set in `param_groups` before each update and may be 0. No rule reads a tensor back to the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

Groups = list[dict[str, Any]]
"""Parameter groups as torch takes them, each with its own `weight_decay` and its `role`.

`role` is `matrices` or `vectors`, or, where an optimizer asks for them apart, `hidden`: the matrices of the layers that
a model stacks. See `optimizers.parameter_groups`.
"""


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


class Lamb(Optimizer):
    """LAMB: Adam's update, scaled in each tensor to the size of its weights.

        m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
        u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay w
        w = w - lr phi(|w|) / |u| u,  phi(z) = min(z, max_weight_norm)

    So `lr` is the relative change of a tensor in one update: |change| = lr |w|, whatever the gradient. The trust ratio
    phi(|w|) / |u| is 1 where |w| or |u| is 0. A group of the role `vectors` has no trust ratio unless `adapt_vectors`:
    a bias starts at 0 and could from there grow by no more than the share `lr` an update. BERT's LAMB leaves the same
    parameters out, LayerNorms and biases, of weight decay and of the trust ratio.

    Source: You et al. 2020, "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", algorithm 2,
    arXiv 1904.00962, whose phi is the identity unless it is bounded.
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
