"""Parameter groups: which weights decay, and which are hidden matrices."""

from __future__ import annotations

from typing import Any

import torch

Groups = list[dict[str, Any]]
"""Parameter groups as torch takes them, each with its own `weight_decay` and its `role`.

`role` is `matrices`, `vectors` or `hidden`. Only optimizers that split them off have the role `hidden`: the matrices of
the layers that a model stacks.
"""


def parameter_groups(model: torch.nn.Module, weight_decay: float, *, split_hidden: bool = False) -> Groups:
    """Matrices (weights of linear layers, embeddings) with `weight_decay`; all vectors with none.

    In BERT and similar models, the vectors are the biases and the weights of the LayerNorms. BERT's own code excludes
    these from weight decay by name (`bias`, `LayerNorm`). The dimension selects them for other architectures too.
    Frozen parameters are in no group.

    Args:
        model: Its trained parameters are grouped.
        weight_decay: Of the matrices.
        split_hidden: Put the matrices of stacked layers (those in a `ModuleList`, without embeddings) into a group of
            their own. The embeddings, the pooler and the head remain.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    hidden = _hidden_matrices(model) if split_hidden else set()
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    others = [matrix for matrix in matrices if matrix not in hidden]
    groups = [
        {"params": others, "weight_decay": weight_decay, "role": "matrices"},
        {"params": vectors, "weight_decay": 0.0, "role": "vectors"},
    ]
    if split_hidden:
        stacked = [matrix for matrix in matrices if matrix in hidden]
        groups.insert(0, {"params": stacked, "weight_decay": weight_decay, "role": "hidden"})
    return groups


def _hidden_matrices(model: torch.nn.Module) -> set[torch.Tensor]:
    stacks = [stack for stack in model.modules() if isinstance(stack, torch.nn.ModuleList)]
    layers = [layer for stack in stacks for layer in stack.modules() if not isinstance(layer, torch.nn.Embedding)]
    return {weight for layer in layers for weight in layer.parameters(recurse=False) if weight.ndim == 2}
