"""K models of one architecture as one tensor of weights, and their common forward and backward pass.

Each row of the weights `(K, P)` is a run. `torch.vmap` applies the model's forward pass to all rows, so that every
kernel does the work of K runs. The rows do not interact, so the gradient of the sum of the K losses contains that of
each run.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from warmup_lab.models import logits_of
from warmup_lab.tasks import Batch
from warmup_lab.training.stacked.dropout import DropoutCall, HashedDropout, NotedDropout, example_keys, hashed_masks


class Stack:
    """The weights of K models. The model given to the constructor provides the forward pass."""

    def __init__(self, model: nn.Module, num_runs: int, device: str) -> None:
        # vmap has no batching rule for the CPU's fused attention and would loop over the runs.
        model.set_attn_implementation("eager")  # type: ignore[operator]
        self.model = model.to(device)
        self._names = [name for name, _ in sorted(model.named_parameters(), key=lambda pair: pair[1].ndim < 2)]
        parameters = self.parameters_of(model)
        self._shapes = [parameter.shape for parameter in parameters]
        self._sizes = [parameter.numel() for parameter in parameters]
        self.num_decayed = sum(parameter.numel() for parameter in parameters if parameter.ndim >= 2)
        """Matrices come first in a row: `optimizers.parameter_groups` applies weight decay only to them."""
        self._calls: dict[torch.Size, list[DropoutCall]] = {}
        self._no_gradient = list(self._padding_rows())
        self.weights = torch.zeros((num_runs, sum(self._sizes)), device=device).requires_grad_()

    def parameters_of(self, model: nn.Module) -> list[nn.Parameter]:
        """The parameters of a model of this architecture, in the order of a row."""
        named = dict(model.named_parameters())
        return [named[name] for name in self._names]

    def _padding_rows(self) -> Iterator[slice]:
        """Slices of a row with the embedding of padding, which is not trained. vmap would skip it in run 0 only."""
        starts = dict(zip(self._names, itertools.accumulate(self._sizes, initial=0), strict=False))
        for name, module in self.model.named_modules():
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                start = starts[f"{name}.weight"] + module.padding_idx * module.embedding_dim
                yield slice(start, start + module.embedding_dim)

    @torch.no_grad()
    def load(self, run: int, model: nn.Module) -> None:
        """Copies the weights of a model into a row."""
        self.weights[run] = torch.cat([parameter.reshape(-1) for parameter in self.parameters_of(model)])

    @torch.no_grad()
    def model_of(self, run: int) -> nn.Module:
        """A model with the weights of this run. Every call returns the same object."""
        parts = torch.split_with_sizes(self.weights[run], self._sizes)
        for parameter, part in zip(self.parameters_of(self.model), parts, strict=True):
            parameter.copy_(part.view(parameter.shape))
        return self.model

    def logits(self, batch: Batch, precision: str, seeds: Tensor | None = None) -> Tensor:
        """Logits `(K, B, num_classes)`, float32, for one batch a run `(K, B, S)` or one for all runs `(B, S)`.

        Args:
            batch: from `TokenTable`.
            precision: `fp32` or `bf16`.
            seeds: `(K,)`, int64, of the dropout masks; only for one batch a run, and not needed with dropout off.
        """
        inputs = {key: value for key, value in batch.items() if key not in ("labels", "examples")}
        inputs["attention_mask"] = _additive(batch["attention_mask"])
        over = 0 if batch["labels"].ndim == 2 else None
        with torch.autocast(self.weights.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            calls: list[DropoutCall] | None = None
            masks: list[Tensor] = []
            if seeds is not None:
                calls = self._dropout_calls(inputs)
                masks = hashed_masks(example_keys(seeds, batch["examples"]), calls)
            # Any other random operation would depend on who is in the group: an error, and the runs train one by one.
            forward = torch.vmap(partial(self._forward, calls), in_dims=(0, over, 0), randomness="error")
            logits: Tensor = forward(self.weights, inputs, masks)
        return logits.float()

    @torch.no_grad()
    def _dropout_calls(self, inputs: dict[str, Tensor]) -> list[DropoutCall]:
        """The calls of dropout in a pass over inputs of this shape `(K, B, S)`, found by a pass of one run."""
        shape = inputs["input_ids"].shape
        if shape not in self._calls:
            with NotedDropout(shape[1]) as dropout:
                self.model(**{key: value[0] for key, value in inputs.items()})
            self._calls[shape] = dropout.calls
        return self._calls[shape]

    def _forward(
        self, calls: list[DropoutCall] | None, row: Tensor, inputs: dict[str, Tensor], masks: list[Tensor]
    ) -> Tensor:
        parts = torch.split_with_sizes(row, self._sizes)  # its backward pass is one `cat`
        parameters = {
            name: part.view(shape) for name, part, shape in zip(self._names, parts, self._shapes, strict=True)
        }
        with contextlib.nullcontext() if calls is None else HashedDropout(calls, masks):
            logits: Tensor = functional_call(self.model, parameters, (), inputs).logits
        return logits

    def loss_and_gradient(
        self, batches: Sequence[Batch], precision: str, seeds: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The mean loss of each run over its micro-batches `(K,)`, nats, and its gradient `(K, P)`.

        `seeds` are those of `logits`.
        """
        num_runs, num_examples = len(self.weights), sum(batch["labels"].shape[1] for batch in batches)
        total, gradient = torch.zeros(num_runs, device=self.weights.device), None
        for batch in batches:
            logits, labels = self.logits(batch, precision, seeds), batch["labels"]
            losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
            loss = losses.view(num_runs, -1).sum(1) / num_examples
            (part,) = torch.autograd.grad(loss.sum(), self.weights)
            gradient = part if gradient is None else gradient.add_(part)
            total += loss.detach()
        assert gradient is not None
        for padding in self._no_gradient:
            gradient[:, padding] = 0.0
        return total, gradient


@torch.no_grad()
def check_stackable(model: nn.Module, batch: Batch) -> None:
    """Compares a model's own logits with those of a stack that holds it, in float64, with dropout off.

    They differ where the architecture does more with the mask of the padding than to hide the padding: decoders also
    hide later tokens, DeBERTa multiplies by it.

    Raises:
        ValueError: they differ.
    """
    model = copy.deepcopy(model).double().eval()
    stack = Stack(model, 1, "cpu")
    own = logits_of(model, batch, "fp32")
    stack.weights = torch.cat([parameter.reshape(-1) for parameter in stack.parameters_of(model)])[None]
    if not torch.allclose(stack.logits(batch, "fp32")[0], own, rtol=1e-4, atol=1e-6 * float(own.abs().max())):
        raise ValueError(f"{type(model).__name__} cannot be stacked: its logits would not be those of the run alone")


def _additive(mask: Tensor) -> Tensor:
    """The mask as a term added to attention scores, `(..., B, 1, 1, S)`.

    transformers would build it itself, but it asks whether any token is masked, and vmap does not allow such a branch.
    """
    blocked = (1.0 - mask.float()) * torch.finfo(torch.float32).min
    return blocked[..., None, None, :]


def clip_gradient(gradient: Tensor, max_norms: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """`torch.nn.utils.clip_grad_norm_` for each row, in place. Returns the norms of the rows `(K,)` and the gradient.

    Rows that are not active, or whose norm is not finite, become 0. `max_norms` `(K,)` is inf without clipping.
    """
    norms = torch.linalg.vector_norm(gradient, dim=1)
    scales = (max_norms / (norms + 1e-6)).clamp(max=1.0)
    good = active & norms.isfinite()
    gradient.mul_(torch.where(good, scales, 0.0)[:, None])
    return norms, gradient.masked_fill_(~good[:, None], 0.0)  # 0 * NaN is NaN
