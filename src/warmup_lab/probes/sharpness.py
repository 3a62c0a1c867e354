"""Probe `sharpness`: the largest eigenvalue of the Hessian of the loss, plain and preconditioned as in Adam."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from warmup_lab.probes.base import PendingUpdate, Probe, ProbeContext, dropout_off, finite_or_none, mean_loss
from warmup_lab.runs import Number
from warmup_lab.system import power_iteration_generator

Product = Callable[[torch.Tensor], torch.Tensor]
"""The product of a symmetric matrix with a vector, `(n,) -> (n,)`."""

MAX_PRODUCTS = 20
"""Largest number of products with the Hessian per eigenvalue and measurement."""
TOLERANCE = 0.05
"""The search ends when the residual |H x - value x| / |value| is at most this."""


class SharpnessProbe(Probe):
    """The largest eigenvalue of the Hessian of the loss, and of the Hessian preconditioned by Adam's second moment.

    Formula: `sharpness` is the largest eigenvalue of H, `preconditioned_sharpness` that of P^(-1/2) H P^(-1/2), with
    P = sqrt(v_hat) + eps and v_hat = v / (1 - beta2^t), from the t updates made so far. H is the Hessian of the mean
    loss of the fixed batch, with dropout off, in float32, before the update.
    Unit: 1 / learning rate. On a quadratic, gradient descent diverges if lr * sharpness > 2, and if it is > 2 (1 +
    beta) with momentum beta (heavy ball). Adam diverges if lr * preconditioned_sharpness > (2 + 2 beta1) / (1 - beta1),
    which is 38 with beta1 = 0.9.
    Range: any number; negative if the loss curves down in every direction.
    Source: Cohen et al. 2022, "Adaptive gradient methods at the edge of stability"; Kalra & Barkeshli 2024, "Why warmup
    the learning rate?". Cohen et al. also multiply P by 1 - beta1^t, the bias correction of the first moment. It is
    left out here; it is within 1 % of 1 after 44 updates with beta1 = 0.9. RAdam's rectification is left out, too.
    Values: for the loss a/2 x^2, `sharpness` is a.
    Cost: 1 forward pass, 1 backward pass, and at most `2 * MAX_PRODUCTS` products with the Hessian. Each product is a
    backward pass through the backward pass, about 4 updates if the fixed batch is twice the update's batch.

    `preconditioned_sharpness` keeps the embedding tables fixed. The row of a rare word has had one or two gradients, so
    some of its second moments are near 0 by chance, and 1 / sqrt of these would dominate the eigenvalue (TREC,
    bert_tiny, after 50 updates: 2e6 with the tables, 5e3 without). The value is null before the first update, and for
    optimizers without `exp_avg_sq`.

    Each search starts from the last eigenvector, and ends at the tolerance or at the largest number of products. The
    result is an estimate that is never above the true value.
    """

    columns = ("sharpness", "preconditioned_sharpness")

    def before_update(self, update: PendingUpdate) -> None:  # noqa: ARG002
        self._values: dict[str, Number] = dict.fromkeys(self.columns)
        context = self._context
        with dropout_off(context.model), hessian_product(context) as product:
            self._values["sharpness"] = self._top("sharpness", product)
            scale = inverse_root_preconditioner(context.optimizer, context.model)
            if scale is not None:
                self._values["preconditioned_sharpness"] = self._top(
                    "preconditioned_sharpness", lambda vector: scale * product(scale * vector)
                )

    def after_update(self) -> Mapping[str, Number]:
        return self._values

    def _top(self, name: str, product: Product) -> float | None:
        memory = self._context.memory
        start = memory.get(name)
        if start is None:
            size = sum(weight.numel() for weight in self._context.weights)
            start = torch.randn(size, generator=power_iteration_generator())
        value, vector = top_eigenpair(product, start.to(self._context.plan.device))
        if finite_or_none(value) is None:
            return None
        memory[name] = vector.cpu()
        return value


@contextmanager
def hessian_product(context: ProbeContext) -> Iterator[Product]:
    """Products with the Hessian of the fixed batch's loss. All of them share one first backward pass."""
    weights = context.weights
    # The fused attention kernels have no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        loss = mean_loss(context.model, context.batch)
        gradients = torch.autograd.grad(loss, weights, create_graph=True)

        def product(vector: torch.Tensor) -> torch.Tensor:
            parts = torch.split_with_sizes(vector, [weight.numel() for weight in weights])
            shaped = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
            products = torch.autograd.grad(gradients, weights, shaped, retain_graph=True, materialize_grads=True)
            return flatten(products)

        yield product


def flatten(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """All tensors as one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def inverse_root_preconditioner(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.Tensor | None:
    """P^(-1/2) with P = sqrt(v_hat) + eps, for all weights as one vector; 0 for embeddings and if v is 0.

    None if the optimizer does not have a second moment for every weight.
    """
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    group_of = {weight: group for group in optimizer.param_groups for weight in group["params"]}
    parts = []
    for weight in (weight for weight in model.parameters() if weight.requires_grad):
        state, group = optimizer.state.get(weight, {}), group_of.get(weight, {})
        if "exp_avg_sq" not in state or "step" not in state or float(state["step"]) == 0:
            return None
        second = state["exp_avg_sq"].float()
        # BertAdamW has no correction: it starts at a step so late that this factor is exactly 1.
        corrected = second / (1 - group["betas"][1] ** float(state["step"]))
        included = (second > 0) & (weight not in tables)
        parts.append(torch.where(included, (corrected.sqrt() + group["eps"]).rsqrt(), 0.0))
    scale = flatten(parts)
    return scale if bool(scale.any()) else None


def top_eigenpair(
    product: Product, start: torch.Tensor, *, tolerance: float = TOLERANCE, max_products: int = MAX_PRODUCTS
) -> tuple[float, torch.Tensor]:
    """The largest eigenvalue (not the largest absolute value) of a symmetric matrix, and its unit eigenvector.

    LOBPCG for one vector (Knyazev 2001). Each round takes the best vector in the span of the estimate, its residual and
    the last direction, with one product per round. NaN if the matrix or the start is not finite.
    """
    x = start / start.norm()
    image = product(x)
    last: tuple[torch.Tensor, torch.Tensor] | None = None
    for _ in range(max_products - 1):
        value = x @ image
        residual = image - value * x
        if not residual.norm() > tolerance * value.abs():  # also if it is NaN
            break
        direction = residual / residual.norm()
        pairs = _orthonormal([(x, image), (direction, product(direction)), *([last] if last else [])])
        basis, images = (torch.stack(vectors) for vectors in zip(*pairs, strict=True))
        small = (basis @ images.T).double()
        if not bool(small.isfinite().all()):
            return float("nan"), x
        best = torch.linalg.eigh((small + small.T) / 2).eigenvectors[:, -1].to(x.dtype)
        last = (best[1:] @ basis[1:], best[1:] @ images[1:])
        x, image = best @ basis, best @ images
    return float(x @ image / (x @ x)), x


def _orthonormal(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Gram-Schmidt on vectors, and the same on their images. Drops a vector in the span of those before it."""
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    for vector, image in pairs:
        length = vector.norm()
        for other, other_image in kept:
            share = other @ vector
            vector, image = vector - share * other, image - share * other_image
        if vector.norm() > 1e-4 * length or not kept:
            kept.append((vector / vector.norm(), image / vector.norm()))
    return kept
