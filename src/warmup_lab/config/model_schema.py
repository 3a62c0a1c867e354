"""Typed configuration of a model: one dataclass per `model.kind`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from warmup_lab.config.errors import require, require_positive


@dataclass(frozen=True)
class ModelConfig:
    """Fields of every model."""

    kind: str = ""
    """`bert` or `preln` (BERT with the LayerNorm before each block) with random weights, or `pretrained`."""
    id: str | None = None
    """Name of the model in the results. Null derives it from the kind, or from the path of a pretrained model."""

    @property
    def title(self) -> str:
        """Name of the model in the results."""
        return self.id or self.kind


_SAYS_NOTHING = re.compile(r"model|checkpoint(-\d+)?|best|final|output", re.IGNORECASE)
"""Names of folders that need the name of the folder around them."""
MAX_WEIGHTS = 10_000_000_000
"""40 GB in single precision, and three times that with the state of AdamW."""


@dataclass(frozen=True)
class RandomModel(ModelConfig):
    """A classifier on an encoder with random initial weights."""

    num_layers: int = 2
    """Number of transformer blocks, at least 1."""
    hidden_size: int = 128
    """Width of the hidden states, at least 1. The feed-forward layers are 4 times as wide."""
    num_heads: int = 2
    """Number of attention heads, at least 1. It must divide `hidden_size`."""
    dropout: float = 0.1
    """Dropout probability of hidden states, attention and classifier, in [0, 1)."""
    vocab_size: int = 8192
    """Maximum number of WordPiece units that the tokenizer learns from the training texts, at least 100."""
    tokenizer: str | None = None
    """Folder or hub id of an existing tokenizer. Null trains one on the training texts."""

    def __post_init__(self) -> None:
        for key, most in (("num_layers", 1000), ("hidden_size", 100_000), ("num_heads", 100_000)):
            require_positive(getattr(self, key), f"model.{key}", most=most)
        require(
            self.hidden_size % self.num_heads == 0,
            f"model.num_heads={self.num_heads} does not divide model.hidden_size={self.hidden_size}",
        )
        require(0 <= self.dropout < 1, f"model.dropout={self.dropout}: must be in [0, 1)")
        require(self.vocab_size >= 100, f"model.vocab_size={self.vocab_size}: must be at least 100")
        require_positive(self.vocab_size, "model.vocab_size", most=1_000_000)
        weights = 12 * self.num_layers * self.hidden_size**2 + self.vocab_size * self.hidden_size
        require(
            weights <= MAX_WEIGHTS,
            f"model.num_layers={self.num_layers} model.hidden_size={self.hidden_size} "
            f"model.vocab_size={self.vocab_size}: {weights:.1e} weights are too many; at most {MAX_WEIGHTS:.0e}",
        )


@dataclass(frozen=True)
class PretrainedModel(ModelConfig):
    """A classifier on a pretrained encoder, loaded from safetensors; remote code is never executed."""

    path: str | None = None
    """Folder or hub id of the encoder. Required."""
    revision: str | None = None
    """Branch, tag or commit of the hub id. Null means the default branch."""
    dropout: float | None = None
    """Dropout probability, in [0, 1). Null keeps the model's own."""

    def __post_init__(self) -> None:
        require(bool(self.path), "model=pretrained needs model.path=<folder or hub id>")
        dropout = self.dropout
        require(dropout is None or 0 <= dropout < 1, f"model.dropout={dropout}: must be in [0, 1)")

    @property
    def title(self) -> str:
        if self.id:
            return self.id
        parent, _, name = str(self.path).rstrip("/\\").replace("\\", "/").rpartition("/")
        above = parent.rpartition("/")[2].strip(".~")
        return f"{above}-{name}" if above and _SAYS_NOTHING.fullmatch(name) else name


MODEL_KINDS: dict[str, type[ModelConfig]] = {
    "bert": RandomModel,
    "preln": RandomModel,
    "pretrained": PretrainedModel,
}
"""The dataclass of each `model.kind`."""
