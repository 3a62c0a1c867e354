"""Probe `layers`: for each layer, the gradient, the size of the update, and how far its output has changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from warmup_lab.probes.base import PendingUpdate, Probe, ProbeContext, batch_logits, dropout_off, finite_or_none
from warmup_lab.runs import Number

_FAMILIES = ("grad_norm", "update_ratio", "cka")


class LayersProbe(Probe):
    """Per layer: gradient norm, relative size of the update, and similarity of the output to that at the start.

    Layers: `embeddings` (all before the blocks), `encoder.0`, `encoder.1`, ... (the transformer blocks), `head` (all
    after them: pooler and classifier). Together they contain all weights.

    Formula: `grad_norm/<layer>` is the L2 norm of the gradient of the layer's weights, before clipping. Its squares add
    up to `grad_norm` squared. `update_ratio/<layer>` is |w' - w| / |w| over the layer's weights, with w' the weights
    after this update, weight decay included. `cka/<layer>` is the linear centred kernel alignment,
    |Y'X|_F^2 / (|X'X|_F |Y'Y|_F), of the layer's output on the fixed batch before this update (X) and before update 0
    (Y). Columns are centred. Each row is a token, without padding; for `head`, each row is the logits of an example.
    Unit: none, except nats per unit of weight for `grad_norm`. Range: 0 and above. `cka` is in [0, 1], and 1 if the
    outputs differ only by rotation, scale and shift.
    Source: Kornblith et al. 2019, "Similarity of neural network representations revisited" (CKA).
    Values: `cka` is 1 at update 0; `update_ratio` is 0 at a rate of 0.
    Cost: 1 forward pass on the fixed batch, and a copy of the weights.

    Create the probe while the model has its initial weights, because it stores their outputs.
    """

    def __init__(self, context: ProbeContext) -> None:
        super().__init__(context)
        self._layers = weights_by_layer(context.model)
        self.columns = tuple(f"{family}/{layer}" for family in _FAMILIES for layer in self._layers)
        self._at_start = outputs_by_layer(context)

    def before_update(self, update: PendingUpdate) -> None:
        gradients = {name: _norm([weight.grad for weight in weights]) for name, weights in self._layers.items()}
        # Clipping scales all gradients by one factor, so their shares of the norm are unchanged.
        whole = math.hypot(*gradients.values())
        unclip = update.grad_norm / whole if whole else 0.0
        self._grad_norms = {name: finite_or_none(norm * unclip) for name, norm in gradients.items()}
        self._before = {name: [weight.detach().clone() for weight in weights] for name, weights in self._layers.items()}
        outputs = outputs_by_layer(self._context)
        self._cka = {name: finite_or_none(linear_cka(output, self._at_start[name])) for name, output in outputs.items()}

    def after_update(self) -> Mapping[str, Number]:
        ratios = {}
        for name, weights in self._layers.items():
            before = self._before[name]
            moved = _norm([now.detach() - then for now, then in zip(weights, before, strict=True)])
            size = _norm(before)
            ratios[name] = finite_or_none(moved / size) if size else None
        del self._before
        families = zip(_FAMILIES, (self._grad_norms, ratios, self._cka), strict=True)
        return {f"{family}/{layer}": value for family, values in families for layer, value in values.items()}


def _norm(tensors: list[torch.Tensor | None] | list[torch.Tensor]) -> float:
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(present))).item() if present else 0.0


def transformer_blocks(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The transformer blocks and their name: the longest `ModuleList` with modules of one class."""
    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    candidates = [(name, module) for name, module in lists if len({type(one) for one in module}) == 1]
    return max(candidates, key=lambda pair: len(pair[1]))  # the first of the longest, which is the outermost


def weights_by_layer(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trained weights of each layer, from input to output."""
    prefix, blocks = transformer_blocks(model)
    layers: dict[str, list[nn.Parameter]] = {"embeddings": []}
    layers |= {f"encoder.{index}": [] for index in range(len(blocks))} | {"head": []}
    reached = False
    for name, weight in model.named_parameters():
        inside = name.startswith(f"{prefix}.")
        reached = reached or inside
        layer = "head" if reached else "embeddings"
        if inside:
            layer = f"encoder.{name.removeprefix(f'{prefix}.').split('.')[0]}"
        if weight.requires_grad:
            layers[layer].append(weight)
    return layers


def outputs_by_layer(context: ProbeContext) -> dict[str, torch.Tensor]:
    """Output of each layer on the fixed batch, dropout off: `(tokens, width)` without padding; logits for `head`."""
    _, blocks = transformer_blocks(context.model)
    is_token = context.batch["attention_mask"].bool()
    outputs: dict[str, torch.Tensor] = {}

    def store_input(_: nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, torch.Tensor]) -> None:
        outputs["embeddings"] = (args[0] if args else kwargs["hidden_states"])[is_token]

    def output_hook(name: str) -> Callable[..., None]:
        def store(_: nn.Module, __: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
            outputs[name] = (output if isinstance(output, torch.Tensor) else output[0])[is_token]

        return store

    hooks = [blocks[0].register_forward_pre_hook(store_input, with_kwargs=True)]
    hooks += [block.register_forward_hook(output_hook(f"encoder.{index}")) for index, block in enumerate(blocks)]
    try:
        with dropout_off(context.model), torch.inference_mode():
            logits = batch_logits(context.model, context.batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: output.float() for name, output in outputs.items()} | {"head": logits.float()}


def linear_cka(one: torch.Tensor, other: torch.Tensor) -> float:
    """Linear CKA of two outputs for the same rows, `(n, p)` and `(n, q)`; NaN if one of them is constant.

    >>> linear_cka(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[5.0], [3.0], [1.0]]))
    1.0
    """
    one, other = one - one.mean(0), other - other.mean(0)
    own = torch.linalg.matrix_norm(one.T @ one) * torch.linalg.matrix_norm(other.T @ other)
    shared: float = (torch.linalg.matrix_norm(other.T @ one) ** 2 / own).item()
    return shared
