"""Sizes in a foreign `config.json` that transformers would build for minutes, or on which its code fails."""

from __future__ import annotations

import re
from typing import Any

from warmup_lab.config import require

_MOST_REPEATED = 1000
_REPEATED = re.compile(r".*layers?|.*blocks?|.*experts|block_sizes|block_repeats|depths?|.*_group(s|_num)")
"""Keys that count modules: building one takes 2 ms, whatever its size."""
_POSITIVE = re.compile(
    r"num_hidden_layers|n_layers?|num_layers|encoder_layers|num_attention_heads|n_heads?|encoder_attention_heads|"
    r"hidden_size|dim|d_model|n_embd|embedding_size|intermediate_size|vocab_size"
)


def check_sizes(config: dict[str, Any], where: str, path: str = "") -> None:
    """Checks the sizes in `config.json` and in its sections.

    Whether the weights fit them is checked when they are loaded (`models.pretrained`).

    Raises:
        ConfigError: a size is 0 or negative, there are over 1,000 layers, or the padding is not in the vocabulary.
    """
    for key, value in config.items():
        name = f"{where}: config.json has {path}{key}={value}"
        if isinstance(value, dict):
            check_sizes(value, where, f"{path}{key}.")
        if _POSITIVE.fullmatch(key) and isinstance(value, int):
            require(value > 0, f"{name}: must be at least 1")
        if _REPEATED.fullmatch(key):
            counts = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int)]
            require(sum(counts) <= _MOST_REPEATED, f"{name}: must be at most {_MOST_REPEATED:,}")
    padding, size = config.get("pad_token_id"), config.get("vocab_size")
    if isinstance(padding, int) and isinstance(size, int):
        require(
            padding < size, f"{where}: config.json has {path}pad_token_id={padding}: must be below vocab_size={size}"
        )
