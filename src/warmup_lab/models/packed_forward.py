"""The forward pass over packed batches (`tasks.packing`), for the architectures in `_FAMILIES`.

It calls the model's own layers in the model's own order. Logits, loss and gradients equal those of `model(**batch)` on
the padded batch up to rounding. Two things differ inside:

- Attention is block-diagonal: a token attends only to the tokens of its own example.
- The classifier reads only the first token of each example. The last layer therefore computes queries, output and
  feed-forward for the first tokens only, and keys and values for all tokens.

Dropout draws other masks than over a padded batch, from the same distribution. They depend on the seed of the update
and on its batch only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from warmup_lab.tasks import Batch, Collate, collate, collate_packed


@dataclass(frozen=True)
class _Family:
    """How a family of encoders differs from BERT."""

    positions_after_padding: bool = False
    """Whether positions start after the padding's position, as in RoBERTa, instead of at 0."""
    norm_first: bool = False
    """Whether LayerNorm is before each block and once after the last block, instead of after each block."""
    pooler: bool = False
    """Whether the first token passes through a pooler and dropout before the classifier."""


_FAMILIES = {
    "BertForSequenceClassification": _Family(pooler=True),
    "RobertaForSequenceClassification": _Family(positions_after_padding=True),
    "RobertaPreLayerNormForSequenceClassification": _Family(positions_after_padding=True, norm_first=True),
}
"""The transformers classes that can be packed. Batches of all other classes are padded: DistilBERT takes no positions,
DeBERTa's positions are relative, ELECTRA's head differs, and decoders read the last token."""


def collate_for(model: torch.nn.Module) -> Collate:
    """The function that makes batches for this model: packed if its class is in `_FAMILIES`, else padded."""
    known = type(model).__name__ in _FAMILIES and not model.config.is_decoder  # type: ignore[union-attr]
    return collate_packed if known else collate


def packed_logits(model: Any, batch: Batch) -> torch.Tensor:
    """Logits `(B, num_classes)` of a batch from `collate_packed`."""
    family, encoder = _FAMILIES[type(model).__name__], model.base_model
    first_position = encoder.embeddings.padding_idx + 1 if family.positions_after_padding else 0
    hidden = encoder.embeddings(  # (R, W, H)
        input_ids=batch["input_ids"],
        token_type_ids=batch["token_type_ids"],
        position_ids=batch["position_ids"] + first_position,
    )
    segments = batch["segments"]  # (R, W)
    mask = (segments[:, :, None] == segments[:, None, :])[:, None]  # (R, 1, W, W)
    *layers, last = encoder.encoder.layer
    for layer in layers:
        hidden = layer(hidden, mask)
    first = _first_tokens(last, family, hidden, batch)  # (B, H)
    if family.norm_first:
        first = encoder.LayerNorm(first)
    features = first[:, None]  # (B, 1, H): the head reads token 0
    if family.pooler:
        features = model.dropout(encoder.pooler(features))
    logits: torch.Tensor = model.classifier(features)
    return logits


def _first_tokens(layer: Any, family: _Family, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Output of the layer at the first token of each example, `(B, H)`."""
    attention = layer.attention.self
    tokens = hidden.flatten(0, 1)  # (R * W, H)
    first = tokens[batch["starts"]]  # (B, H)
    normed, normed_first = tokens, first
    if family.norm_first:
        normed = layer.attention.LayerNorm(tokens)
        normed_first = normed[batch["starts"]]

    def heads(states: torch.Tensor) -> torch.Tensor:  # (N, H) -> (1, heads, N, H / heads)
        return states.view(len(states), attention.num_attention_heads, -1).transpose(0, 1)[None]

    examples = torch.arange(len(first), device=first.device)
    context = F.scaled_dot_product_attention(
        heads(attention.query(normed_first)),
        heads(attention.key(normed)),
        heads(attention.value(normed)),
        attn_mask=examples[:, None] == batch["segments"].flatten(),  # (B, R * W)
        dropout_p=attention.dropout.p if attention.training else 0.0,
    )
    attended = layer.attention.output(context[0].transpose(0, 1).flatten(1), first)
    output: torch.Tensor = layer.feed_forward_chunk(attended)
    return output
