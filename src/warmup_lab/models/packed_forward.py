"""The forward pass over batches without padding (`rows`), for the architectures in the table `_KINDS`.

It calls the model's own layers, in the model's own order, and computes what `model(**batch)` computes of a padded
batch, save what nobody reads:

- Attention is block-diagonal: a token sees the tokens of its own example.
- The classifier reads the first token of each example, so the last layer asks for these tokens alone: its keys and
  values are those of all tokens, its queries, its output and its feed-forward layer those of the first.

Loss and gradients equal those of the padded batch but for rounding. Dropout draws other masks than it would over a
padded batch, from the same distribution; they remain a pure function of the seed of the update and of its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from warmup_lab.tasks import Batch, Collate, collate, collate_rows


@dataclass(frozen=True)
class _Kind:
    """How a family of encoders differs from BERT."""

    positions_after_padding: bool = False
    """Whether positions start after that of padding (RoBERTa), not at 0."""
    norm_first: bool = False
    """Whether LayerNorm comes before each block and once more after the last, not after each block."""
    pooler: bool = False
    """Whether the first token goes through pooler and dropout on its way to the classifier."""


_KINDS = {
    "BertForSequenceClassification": _Kind(pooler=True),
    "RobertaForSequenceClassification": _Kind(positions_after_padding=True),
    "RobertaPreLayerNormForSequenceClassification": _Kind(positions_after_padding=True, norm_first=True),
}
"""transformers' classes whose batches need no padding. Every other class is padded, never guessed at: DistilBERT takes
no positions, DeBERTa's are relative, ELECTRA's head differs, and decoders read the last token."""


def collate_for(model: torch.nn.Module) -> Collate:
    """How batches for this model are made: without padding where that is known to be the same, else padded."""
    known = type(model).__name__ in _KINDS and not model.config.is_decoder  # type: ignore[union-attr]
    return collate_rows if known else collate


def logits_of_rows(model: Any, batch: Batch) -> torch.Tensor:
    """`(B, num_classes)` of a batch from `collate_rows`."""
    kind, encoder = _KINDS[type(model).__name__], model.base_model
    first_position = encoder.embeddings.padding_idx + 1 if kind.positions_after_padding else 0
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
    first = _first_tokens(last, kind, hidden, batch)  # (B, H)
    if kind.norm_first:
        first = encoder.LayerNorm(first)
    features = first[:, None]  # (B, 1, H): the head takes the first of one token
    if kind.pooler:
        features = model.dropout(encoder.pooler(features))
    logits: torch.Tensor = model.classifier(features)
    return logits


def _first_tokens(layer: Any, kind: _Kind, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """`(B, H)`: the layer's output at the first token of each example."""
    attention = layer.attention.self
    tokens = hidden.flatten(0, 1)  # (R * W, H)
    first = tokens[batch["starts"]]  # (B, H)
    normed, normed_first = tokens, first
    if kind.norm_first:
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
