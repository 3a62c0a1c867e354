"""Parameter groups: which weights decay, and which are hidden matrices."""

from __future__ import annotations

from typing import Any

import torch

_HIDDEN_APART = ("muon",)
"""Optimizers that treat the matrices of stacked layers in a way of their own."""


def parameter_groups(model: torch.nn.Module, weight_decay: float, *, hidden_apart: bool = False) -> Groups:
    """Matrices (weights of linear layers, embeddings) with `weight_decay`, all vectors without any.

    In BERT and its kin the vectors are the biases and the weights of the LayerNorms, which BERT's own code leaves
    out of weight decay by their names (`bias`, `LayerNorm`); the dimension says it for other architectures too.

    `hidden_apart` puts the matrices of the layers that the model stacks (those in a `ModuleList`, without embeddings)
    in a group of their own: what is left are the embeddings, the pooler and the head.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    hidden = _hidden_matrices(model) if hidden_apart else set()
    matrices = [one for one in parameters if one.ndim >= 2]
    groups = [
        {"params": [one for one in matrices if one not in hidden], "weight_decay": weight_decay, "role": "matrices"},
        {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0, "role": "vectors"},
    ]
    if hidden_apart:
        apart = [one for one in matrices if one in hidden]
        groups.insert(0, {"params": apart, "weight_decay": weight_decay, "role": "hidden"})
    return groups


def _hidden_matrices(model: torch.nn.Module) -> set[torch.Tensor]:
    stacks = [stack for stack in model.modules() if isinstance(stack, torch.nn.ModuleList)]
    layers = [layer for stack in stacks for layer in stack.modules() if not isinstance(layer, torch.nn.Embedding)]
    return {one for layer in layers for one in layer.parameters(recurse=False) if one.ndim == 2}


Groups = list[dict[str, Any]]
"""Parameter groups as torch takes them, each with its own `weight_decay` and its `role`.

`role` is `matrices` or `vectors`, or, where an optimizer asks for them apart, `hidden`: the matrices of the layers that
a model stacks. See `optimizers.parameter_groups`.
"""
