"""What happens in each layer: its gradient, how far an update moves it, how its output has changed since the start."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from warmup_lab.probes.base import Probe, Setting, Update, dropout_off, finite, logits_of_batch
from warmup_lab.runs import Number

_FAMILIES = ("grad_norm", "update_ratio", "cka")


class LayersProbe(Probe):
    """Per layer: gradient norm, relative size of the update, and similarity of its output to that at the start.

    Layers: `embeddings` (all before the blocks), `encoder.0`, `encoder.1`, ... (the transformer blocks), `head` (all
    after them: pooler and classifier). Together they are all weights.
    Formula: `grad_norm/<layer>`: L2 norm of the gradient of the layer's weights, before clipping; their squares sum to
    `grad_norm` squared. `update_ratio/<layer>`: |w' - w| / |w| over the layer's weights, w' after this update, weight
    decay included. `cka/<layer>`: linear centred kernel alignment, |Y'X|_F^2 / (|X'X|_F |Y'Y|_F), of the layer's output
    on the fixed batch before this update (X) and before update 0 (Y), columns centred, a row a token, padding left out;
    for `head` the logits, a row an example.
    Unit: none but for `grad_norm`, nats over weight. Range: 0 and above; `cka` in [0, 1], 1 where the outputs are equal
    but for rotation, scale and shift.
    Source: Kornblith et al. 2019, "Similarity of neural network representations revisited" (CKA).
    Values: `cka` is 1 at update 0; `update_ratio` is 0 at a rate of 0.
    Cost: 1 forward pass on the fixed batch, and a copy of the weights.

    The probe must be made while the model has its initial weights: it takes down their outputs.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._layers = layers_of(setting.model)
        self.columns = tuple(f"{family}/{layer}" for family in _FAMILIES for layer in self._layers)
        self._at_start = outputs_of(setting)

    def before_update(self, update: Update) -> None:
        gradients = {name: _norm([one.grad for one in weights]) for name, weights in self._layers.items()}
        # The gradients are clipped: all by one factor, so their shares of the norm are what they were.
        whole = math.hypot(*gradients.values())
        unclip = update.grad_norm / whole if whole else 0.0
        self._grad_norms = {name: finite(norm * unclip) for name, norm in gradients.items()}
        self._before = {name: [one.detach().clone() for one in weights] for name, weights in self._layers.items()}
        outputs = outputs_of(self._setting)
        self._cka = {name: finite(linear_cka(output, self._at_start[name])) for name, output in outputs.items()}

    def after_update(self) -> Mapping[str, Number]:
        ratios = {}
        for name, weights in self._layers.items():
            before = self._before[name]
            moved = _norm([now.detach() - then for now, then in zip(weights, before, strict=True)])
            size = _norm(before)
            ratios[name] = finite(moved / size) if size else None
        del self._before
        families = zip(_FAMILIES, (self._grad_norms, ratios, self._cka), strict=True)
        return {f"{family}/{layer}": value for family, values in families for layer, value in values.items()}


def _norm(tensors: list[torch.Tensor | None] | list[torch.Tensor]) -> float:
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(present))).item() if present else 0.0


def blocks_of(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The transformer blocks, with their name: the longest list of modules of one class, the outermost of them."""
    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    alike = [(name, module) for name, module in lists if len({type(one) for one in module}) == 1]
    return max(alike, key=lambda pair: len(pair[1]))  # of equally long ones the first, which is the outermost


def layers_of(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trained weights of each layer, from input to output."""
    prefix, blocks = blocks_of(model)
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


def outputs_of(setting: Setting) -> dict[str, torch.Tensor]:
    """Each layer's output on the fixed batch, dropout off: `(tokens, width)` without padding, the logits for `head`."""
    _, blocks = blocks_of(setting.model)
    there = setting.batch["attention_mask"].bool()
    found: dict[str, torch.Tensor] = {}

    def into_blocks(_: nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, torch.Tensor]) -> None:
        found["embeddings"] = (args[0] if args else kwargs["hidden_states"])[there]

    def out_of(name: str) -> Callable[..., None]:
        def note(_: nn.Module, __: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
            found[name] = (output if isinstance(output, torch.Tensor) else output[0])[there]

        return note

    hooks = [blocks[0].register_forward_pre_hook(into_blocks, with_kwargs=True)]
    hooks += [block.register_forward_hook(out_of(f"encoder.{index}")) for index, block in enumerate(blocks)]
    try:
        with dropout_off(setting.model), torch.inference_mode():
            logits = logits_of_batch(setting.model, setting.batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: output.float() for name, output in found.items()} | {"head": logits.float()}


def linear_cka(one: torch.Tensor, other: torch.Tensor) -> float:
    """Linear CKA of two outputs for the same rows, `(n, p)` and `(n, q)`; NaN where one of them is constant.

    >>> linear_cka(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[5.0], [3.0], [1.0]]))
    1.0
    """
    one, other = one - one.mean(0), other - other.mean(0)
    own = torch.linalg.matrix_norm(one.T @ one) * torch.linalg.matrix_norm(other.T @ other)
    shared: float = (torch.linalg.matrix_norm(other.T @ one) ** 2 / own).item()
    return shared
