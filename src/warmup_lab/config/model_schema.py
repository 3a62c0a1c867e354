"""Typed configuration of a model, one dataclass for each `model.kind`."""

from __future__ import annotations

from dataclasses import dataclass

from warmup_lab.config.errors import require, require_positive

# --------------------------------------------------------------------------------------------------- models


@dataclass(frozen=True)
class ModelConfig:
    """What every model has."""

    kind: str = ""
    """`bert` and `preln` (BERT with the LayerNorm before each block) from random weights, or `pretrained`."""
    id: str | None = None
    """The name shown in results; by default made from the source."""

    @property
    def title(self) -> str:
        return self.id or self.kind


@dataclass(frozen=True)
class RandomModel(ModelConfig):
    """An encoder from random weights."""

    num_layers: int = 2
    """Transformer blocks."""
    hidden_size: int = 128
    """Width; the feed-forward layers are 4 times as wide."""
    num_heads: int = 2
    """Attention heads; they divide the width."""
    dropout: float = 0.1
    """Dropout of hidden states, attention and classifier, in [0, 1)."""
    vocab_size: int = 8192
    """At most so many WordPiece units, learned from the training texts."""
    tokenizer: str | None = None
    """Folder or hub id of a ready tokenizer, instead of learning one."""

    def __post_init__(self) -> None:
        for key in ("num_layers", "hidden_size", "num_heads"):
            require_positive(getattr(self, key), f"model.{key}")
        require(
            self.hidden_size % self.num_heads == 0,
            f"model.num_heads={self.num_heads} does not divide model.hidden_size={self.hidden_size}",
        )
        require(0 <= self.dropout < 1, f"model.dropout={self.dropout}: must lie in [0, 1)")
        require(self.vocab_size >= 100, f"model.vocab_size={self.vocab_size}: must be at least 100")


@dataclass(frozen=True)
class PretrainedModel(ModelConfig):
    """A classifier on a pretrained encoder: safetensors only, never remote code."""

    path: str | None = None
    """Folder or hub id."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    dropout: float | None = None
    """Dropout instead of the model's own; null keeps it."""

    def __post_init__(self) -> None:
        require(bool(self.path), "model=pretrained needs model.path=<folder or hub id>")
        dropout = self.dropout
        require(dropout is None or 0 <= dropout < 1, f"model.dropout={dropout}: must lie in [0, 1)")

    @property
    def title(self) -> str:
        return self.id or str(self.path).rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


MODEL_KINDS: dict[str, type[ModelConfig]] = {
    "bert": RandomModel,
    "preln": RandomModel,
    "pretrained": PretrainedModel,
}
