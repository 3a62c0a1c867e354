"""How sharp the loss is: the largest eigenvalue of its Hessian, as it is and as Adam sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from warmup_lab.probes.base import Probe, Setting, Update, dropout_off, finite, mean_loss
from warmup_lab.runs import Number
from warmup_lab.system import power_iteration_generator

Product = Callable[[torch.Tensor], torch.Tensor]
"""A symmetric matrix as what it does to a vector, `(n,) -> (n,)`."""

MAX_PRODUCTS = 20
"""Products with the Hessian that each of the two eigenvalues may take a measurement."""
TOLERANCE = 0.05
"""Residual |H x - value x| / |value| at which an eigenvalue counts as found."""


class SharpnessProbe(Probe):
    """The largest eigenvalue of the Hessian of the loss, and of the Hessian preconditioned by Adam's second moment.

    Formula: `sharpness` = max eigenvalue of H; `preconditioned_sharpness` = that of P^(-1/2) H P^(-1/2), with
    P = sqrt(v_hat) + eps, v_hat = v / (1 - beta2^t), from the t updates made so far. H is the Hessian of the mean loss
    of the fixed batch, dropout off, float32, before the update.
    Unit: 1 / learning rate. Gradient descent on a quadratic diverges where lr * sharpness > 2, with momentum beta
    (heavy ball) where it is > 2 (1 + beta); Adam where lr * preconditioned_sharpness > (2 + 2 beta1) / (1 - beta1),
    38 with beta1 = 0.9.
    Range: any number; negative where the loss curves down in every direction.
    Source: Cohen et al. 2022, "Adaptive gradient methods at the edge of stability"; Kalra & Barkeshli 2024, "Why warmup
    the learning rate?". Cohen et al. also multiply P by 1 - beta1^t, the correction of momentum; it is left out here,
    and is within 1 % of 1 after 44 updates with beta1 = 0.9. RAdam's rectification is left out, too.
    Values: for the loss a/2 x^2, `sharpness` is a.
    Cost: 1 forward pass, 1 backward pass, and at most `2 * MAX_PRODUCTS` products with the Hessian, each a backward
    pass through the backward pass, about 4 updates where the fixed batch is twice the update's.

    `preconditioned_sharpness` holds the tables of embeddings fixed. A row of a rare word has seen one gradient or two,
    some of its second moments are near 0 by chance, and 1 / sqrt of these would be all that the eigenvalue sees (TREC,
    bert_tiny, after 50 updates: 2e6 with the tables, 5e3 without). It is null before the first update, and for
    optimizers without `exp_avg_sq`.

    Each search starts from the eigenvector found last, and ends at the tolerance or the cap of products: an estimate,
    never above the true value.
    """

    columns = ("sharpness", "preconditioned_sharpness")

    def before_update(self, update: Update) -> None:  # noqa: ARG002
        self._found: dict[str, Number] = dict.fromkeys(self.columns)
        setting = self._setting
        with dropout_off(setting.model), hessian(setting) as product:
            self._found["sharpness"] = self._top("sharpness", product)
            scale = inverse_root_preconditioner(setting.optimizer, setting.model)
            if scale is not None:
                self._found["preconditioned_sharpness"] = self._top(
                    "preconditioned_sharpness", lambda vector: scale * product(scale * vector)
                )

    def after_update(self) -> Mapping[str, Number]:
        return self._found

    def _top(self, name: str, product: Product) -> float | None:
        memory = self._setting.memory
        start = memory.get(name)
        if start is None:
            size = sum(weight.numel() for weight in self._setting.weights)
            start = torch.randn(size, generator=power_iteration_generator())
        value, vector = top_eigenpair(product, start.to(self._setting.plan.device))
        if finite(value) is None:
            return None
        memory[name] = vector.cpu()
        return value


@contextmanager
def hessian(setting: Setting) -> Iterator[Product]:
    """Products with the Hessian of the fixed batch's loss; its first backward pass is made once, for all of them."""
    weights = setting.weights
    # The fused kernels of attention have no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        loss = mean_loss(setting.model, setting.batch)
        gradients = torch.autograd.grad(loss, weights, create_graph=True)

        def product(vector: torch.Tensor) -> torch.Tensor:
            parts = torch.split_with_sizes(vector, [weight.numel() for weight in weights])
            shaped = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
            found = torch.autograd.grad(gradients, weights, shaped, retain_graph=True, materialize_grads=True)
            return flat(found)

        yield product


def flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def inverse_root_preconditioner(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.Tensor | None:
    """P^(-1/2), P = sqrt(v_hat) + eps, for all weights as one vector; 0 for embeddings and where v is 0.

    None unless the optimizer holds a second moment for every weight.
    """
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    group_of = {weight: group for group in optimizer.param_groups for weight in group["params"]}
    parts = []
    for weight in (weight for weight in model.parameters() if weight.requires_grad):
        state, group = optimizer.state.get(weight, {}), group_of.get(weight, {})
        if "exp_avg_sq" not in state or "step" not in state or float(state["step"]) == 0:
            return None
        second = state["exp_avg_sq"].float()
        # An optimizer without the correction (BertAdamW) counts from so late a step that the factor is exactly 1.
        corrected = second / (1 - group["betas"][1] ** float(state["step"]))
        moves = (second > 0) & (weight not in tables)
        parts.append(torch.where(moves, (corrected.sqrt() + group["eps"]).rsqrt(), 0.0))
    scale = flat(parts)
    return scale if bool(scale.any()) else None


def top_eigenpair(
    product: Product, start: torch.Tensor, *, tolerance: float = TOLERANCE, max_products: int = MAX_PRODUCTS
) -> tuple[float, torch.Tensor]:
    """The largest eigenvalue (not the largest in size) of a symmetric matrix, and its unit eigenvector.

    LOBPCG for one vector (Knyazev 2001): each round takes the best vector in the span of the estimate, its residual
    and the last direction, with one product a round. NaN where the matrix or the start is not finite.
    """
    x = start / start.norm()
    image = product(x)
    last: tuple[torch.Tensor, torch.Tensor] | None = None
    for _ in range(max_products - 1):
        value = x @ image
        residual = image - value * x
        if not residual.norm() > tolerance * value.abs():  # also where it is NaN
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
    """Gram-Schmidt of vectors, the same done to their images; what lies in the span of those before it is dropped."""
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    for vector, image in pairs:
        length = vector.norm()
        for other, other_image in kept:
            share = other @ vector
            vector, image = vector - share * other, image - share * other_image
        if vector.norm() > 1e-4 * length or not kept:
            kept.append((vector / vector.norm(), image / vector.norm()))
    return kept
