"""Tokenizes a corpus. Token ids and learned vocabularies are cached on disk."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warmup_lab.config import ConfigError, ModelConfig, PretrainedModel, RandomModel, TaskConfig, require
from warmup_lab.system import read_arrays, store, write_arrays
from warmup_lab.tasks.batches import Examples, Task
from warmup_lab.tasks.hub import hub_snapshot, local_folder
from warmup_lab.tasks.pretrained_files import checked_tokenizer, content_digest
from warmup_lab.tasks.sources import Corpus, Split

if TYPE_CHECKING:
    from tokenizers import Tokenizer


_VERSION = 2  # of the cached files: raise it if tokenizing, or learning a vocabulary, changes
_CHUNK = 10_000  # texts tokenized at a time
_FIELDS = ("token_ids", "type_ids", "offsets")
"""The fields of `Examples` that are cached."""


# ------------------------------------------------------------------------------------------------- tokenizing


def _key(*parts: str) -> str:
    """The name of a cached file, from all that its content depends on."""
    return hashlib.sha256(json.dumps([_VERSION, *parts]).encode()).hexdigest()[:32]


def tokenize(corpus: Corpus, task: TaskConfig, model: ModelConfig) -> Task:
    """Tokenizes the corpus with the model's tokenizer, or reads the tokens from the cache.

    Raises:
        ConfigError: the model's tokenizer cannot be loaded.
    """
    tokenizer = _tokenizer(corpus, model)
    key = _key("examples", corpus.digest, tokenizer.digest, str(task.max_length))
    name = Path("examples") / f"{key}.npz"
    parts = {"train": corpus.train, "validation": corpus.validation}
    arrays = read_arrays(name, [f"{part}.{field}" for part in parts for field in _FIELDS])
    if arrays is None:
        encoder = tokenizer.encoder(task.max_length)
        arrays = {
            f"{part}.{field}": array
            for part, split in parts.items()
            for field, array in _encode(encoder, split, with_types=tokenizer.with_types).items()
        }
        write_arrays(name, arrays)
    train, validation = (
        Examples(**{field: arrays[f"{part}.{field}"] for field in _FIELDS}, labels=split.labels)
        for part, split in parts.items()
    )
    return Task(
        train, validation, corpus.label_names, tokenizer.vocab_size, tokenizer.pad_id, corpus.digest, tokenizer.folder
    )


def _encode(tokenizer: Tokenizer, split: Split, *, with_types: bool) -> dict[str, NDArray[Any]]:
    """The arrays of `Examples`, except the labels."""
    ids, types, lengths = [], [], [0]
    for start in range(0, len(split), _CHUNK):
        texts = [row if len(row) > 1 else row[0] for row in split.texts[start : start + _CHUNK]]
        encodings = tokenizer.encode_batch_fast(texts)
        lengths.extend(len(encoding.ids) for encoding in encodings)
        ids.append(np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), np.int32))
        types.append(np.fromiter(chain.from_iterable(encoding.type_ids for encoding in encodings), np.int8))
    type_ids = np.concatenate(types)
    return {
        "token_ids": np.concatenate(ids),
        "type_ids": type_ids if with_types else np.zeros_like(type_ids),
        "offsets": np.cumsum(lengths, dtype=np.int64),
    }


@dataclass(frozen=True)
class _ModelTokenizer:
    """The tokenizer of a model."""

    content: str
    """The tokenizer as JSON of the library `tokenizers`."""
    folder: Path
    """Folder that `AutoTokenizer` can load it from."""
    vocab_size: int
    """Number of tokens; every token id is smaller."""
    pad_id: int
    """Token id used for padding."""
    with_types: bool = True
    """Whether the model distinguishes the two texts of a pair by type ids."""

    @property
    def digest(self) -> str:
        return _key(self.content, str(self.with_types))

    def encoder(self, max_length: int) -> Tokenizer:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.content)
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length)  # of a pair, the longer text is truncated first
        return tokenizer


def _tokenizer(corpus: Corpus, model: ModelConfig) -> _ModelTokenizer:
    if isinstance(model, PretrainedModel):
        path, revision = str(model.path), model.revision
        return _existing(path, revision, "model.path", content_digest(path, revision))
    assert isinstance(model, RandomModel)
    if model.tokenizer:
        return _existing(model.tokenizer, None, "model.tokenizer", content_digest(model.tokenizer))
    return _learned(corpus, model.vocab_size)


@lru_cache(maxsize=8)
def _existing(path: str, revision: str | None, key: str, content: str) -> _ModelTokenizer:
    """The tokenizer of a folder or hub id. It stays in memory until its digest `content` changes."""
    tokenizer = _load_tokenizer(path, revision, key)
    vocabulary = tokenizer.get_vocab()
    words = len(vocabulary) - len(tokenizer.all_special_tokens)
    require(words > 0, f"{key}={path} has no tokenizer: its vocabulary is empty (tokenizer.json or vocab.txt)")
    require(tokenizer.pad_token_id is not None, f"{key}={path}: its tokenizer has no padding token")
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer.save_pretrained(scratch)
        files = {file.name: file.read_bytes() for file in Path(scratch).iterdir()}
    return _ModelTokenizer(
        content=tokenizer.backend_tokenizer.to_str(),
        folder=store(Path("tokenizers") / _key("tokenizer", content), files),
        vocab_size=max(vocabulary.values()) + 1,
        pad_id=tokenizer.pad_token_id,
        with_types="token_type_ids" in tokenizer.model_input_names,
    )


def _load_tokenizer(path: str, revision: str | None, key: str) -> Any:
    from transformers import AutoTokenizer

    folder = local_folder(path, key)
    try:
        with checked_tokenizer(folder or hub_snapshot(path, revision), f"{key}={path}") as checked:
            tokenizer = AutoTokenizer.from_pretrained(checked, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # what the library raises is neither documented nor stable
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])
        raise ConfigError(f"{key}={path} gives no tokenizer: {reason}.\nSet it to a folder with a tokenizer") from error
    require(tokenizer.is_fast, f"{key}={path}: its tokenizer has no tokenizer.json; save_pretrained writes one")
    tokenizer.init_kwargs.pop("auto_map", None)
    return tokenizer


# --------------------------------------------------------------------------------------- learning a vocabulary

_LONG_WORD = re.compile(r"\S{101}")
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def _learned(corpus: Corpus, vocab_size: int) -> _ModelTokenizer:
    """BERT's uncased WordPiece tokenizer with a vocabulary learned from the training texts."""
    key = _key("vocabulary", corpus.digest, str(vocab_size))
    arrays = read_arrays(Path("vocabularies") / f"{key}.npz", ["pieces"])
    if arrays is None:
        pieces = learn_vocabulary([text for row in corpus.train.texts for text in row], vocab_size)
        arrays = {"pieces": np.frombuffer("\n".join(pieces).encode(), dtype=np.uint8)}
        write_arrays(Path("vocabularies") / f"{key}.npz", arrays)
    pieces = arrays["pieces"].tobytes().decode().split("\n")
    content = _word_piece(pieces).to_str()
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    files = {"tokenizer.json": content, "tokenizer_config.json": json.dumps(settings), "vocab.txt": "\n".join(pieces)}
    folder = store(Path("tokenizers") / key, {name: text.encode() for name, text in files.items()})
    return _ModelTokenizer(content, folder, vocab_size=len(pieces), pad_id=0)


def _word_piece(pieces: Sequence[str] = ()) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(_SPECIAL if pieces else [])
    return tokenizer


def learn_vocabulary(texts: Sequence[str], vocab_size: int) -> list[str]:
    """At most `vocab_size` WordPiece units of `texts`, special tokens first; the same in every process."""
    from tokenizers.trainers import WordPieceTrainer

    tokenizer = _word_piece()
    # The trainer numbers "##x" units in the order of a hash table, which differs between processes, and breaks ties
    # between merges by these numbers. Special tokens come first and keep their order, so passing the units as special
    # tokens fixes the numbers. The trainer's own alphabet would also exceed vocab_size.
    letters = _letters(texts, tokenizer, (vocab_size - len(_SPECIAL)) // 2)
    fixed = [*_SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    trainer = WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=fixed, limit_alphabet=0, min_frequency=2, show_progress=False
    )
    texts = [_without_long_words(text, tokenizer) for text in texts]  # a generator would wait for the trainer's lock
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _without_long_words(text: str, tokenizer: Tokenizer) -> str:
    """The text without words of over 100 characters, which are [UNK] anyway: one of 1 MB takes minutes to learn."""
    if not _LONG_WORD.search(text):
        return text
    words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
    return " ".join(word for word, _ in words if len(word) <= 100)


def _letters(texts: Sequence[str], tokenizer: Tokenizer, num: int) -> list[str]:
    """The `num` most frequent characters after the tokenizer's normalization, sorted."""
    counts: Counter[str] = Counter()
    for character, count in Counter(chain.from_iterable(texts)).items():
        for normal in tokenizer.normalizer.normalize_str(character):
            counts[normal] += 0 if normal.isspace() else count
    ranked = sorted((-count, letter) for letter, count in counts.items() if count)
    return sorted(letter for _, letter in ranked[:num])
