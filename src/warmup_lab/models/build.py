"""Builds the classifier: transformers' own classes, from random weights or on a pretrained encoder.

Initial weights are a pure function of the seed and of the pretrained folder: at one seed all strategies share them.
A pretrained folder gives its encoder alone; the classification head is always new.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaPreLayerNormConfig,
)
from transformers.utils import logging as transformers_logging

from warmup_lab.config import ConfigError, ModelConfig, PretrainedModel, RandomModel, require
from warmup_lab.tasks import hub_access, local_folder

log = logging.getLogger(__name__)

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def build_model(
    config: ModelConfig,
    *,
    vocab_size: int,
    pad_id: int,
    label_names: Sequence[str],
    max_length: int,
    seed: int,
) -> nn.Module:
    """A float32 classifier on the CPU, in training mode; the global random state is left as it was.

    Args:
        vocab_size: tokens of the tokenizer.
        pad_id: the tokenizer's padding token.
        label_names: the classes, in the order of their numbers.
        max_length: tokens of the longest input.
        seed: of all weights that do not come from a pretrained folder.

    Raises:
        ConfigError: a pretrained model cannot be had, or does not fit the tokenizer or `max_length`.
    """
    require(len(label_names) >= 2, f"{len(label_names)} label(s), {list(label_names)}: a classifier needs two or more")
    labels = {
        "id2label": dict(enumerate(label_names)),
        "label2id": {name: number for number, name in enumerate(label_names)},
        "problem_type": "single_label_classification",
    }
    if isinstance(config, PretrainedModel):
        model = _load(config, labels, seed)
        _check_fit(config, model, vocab_size=vocab_size, pad_id=pad_id, max_length=max_length)
        return model
    require(isinstance(config, RandomModel), f"unknown model.kind {config.kind!r}. Known: bert, preln, pretrained")
    shape = _shape(config, vocab_size=vocab_size, pad_id=pad_id, max_length=max_length)  # type: ignore[arg-type]
    shape.update(labels)
    with _seeded(seed):
        return _classifier(shape, attn_implementation="sdpa")


def _classifier(shape: PreTrainedConfig, **options: Any) -> PreTrainedModel:
    """The classifier of this architecture with weights drawn from the global random state."""
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
        shape, dtype=torch.float32, trust_remote_code=False, **options
    )
    return model


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Weights drawn inside come from `seed`; outside, the random state of CPU and GPUs stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPUs too
        yield


# --------------------------------------------------------------------------------------------- random weights


def _shape(config: RandomModel, *, vocab_size: int, pad_id: int, max_length: int) -> PreTrainedConfig:
    """BERT's proportions: feed-forward layers 4 times as wide, 512 positions or as many as are needed."""
    positions = max(512, max_length)
    shape: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": 4 * config.hidden_size,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "type_vocab_size": 2,
        "pad_token_id": pad_id,
    }
    if config.kind == "bert":
        return BertConfig(**shape, max_position_embeddings=positions)
    # As in RoBERTa, position pad_id is that of padding, and the first token stands at position pad_id + 1.
    return RobertaPreLayerNormConfig(
        **shape, max_position_embeddings=positions + pad_id + 1, bos_token_id=None, eos_token_id=None
    )


# ------------------------------------------------------------------------------------------------- pretrained


def pretrained_folder(config: PretrainedModel) -> Path:
    """The folder with `config.json` and safetensors weights; a hub id is fetched to the hub's cache first."""
    folder = local_folder(str(config.path), "model.path")
    if folder is None:
        folder = _fetch(str(config.path), config.revision)
    elif config.revision is not None:
        raise ConfigError(f"model.revision={config.revision} is for hub ids, and model.path={config.path} is a folder")
    if not (folder / "config.json").is_file():
        raise ConfigError(f"model.path={config.path}: no config.json in {folder}; save_pretrained writes one")
    if not any((folder / name).is_file() for name in _WEIGHTS):
        raise ConfigError(_no_safetensors(str(config.path), folder))
    return folder


def _no_safetensors(path: str, folder: Path) -> str:
    if not (folder / "pytorch_model.bin").is_file():
        return f"model.path={path}: no model.safetensors in {folder}, and safetensors only are read"
    code = (
        "import torch; from safetensors.torch import save_file; "
        f"weights = torch.load({str(folder / 'pytorch_model.bin')!r}, weights_only=True); "
        "save_file({name: tensor.clone() for name, tensor in weights.items()}, "
        f"{str(folder / 'model.safetensors')!r}, {{'format': 'pt'}})"
    )
    return f'model.path={path} has pickled weights; safetensors only are read. To convert them: python -c "{code}"'


def _fetch(path: str, revision: str | None) -> Path:
    """The snapshot of a hub id, from the hub, or from its cache here where the hub cannot be reached."""
    files = ["config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json"]
    with hub_access() as online:
        try:
            return Path(snapshot_download(path, revision=revision, allow_patterns=files))
        except Exception as error:  # the hub's client raises errors of several libraries
            unreachable = "the Hugging Face hub cannot be reached, and its cache here does not hold this model"
            reason = f"the Hugging Face hub does not give it ({_in_a_line(error)})" if online else unreachable
            raise ConfigError(
                f"model.path={path}: there is no such folder; {reason}.\nConnect to a network and check the id, "
                "or give model.path=<local folder> with config.json, model.safetensors and the tokenizer"
            ) from error


def _load(config: PretrainedModel, labels: dict[str, Any], seed: int) -> PreTrainedModel:
    """Draws a whole classifier from the seed, then puts the pretrained encoder in its place.

    So the head depends on the seed and the shape alone: neither on what head the folder had, nor on what it lacks.
    """
    folder = pretrained_folder(config)
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet_transformers(), _seeded(seed):
            shape = AutoConfig.from_pretrained(folder, **local, **labels)
            if config.dropout is not None:
                _set_dropout(shape, config.dropout)
            model = _classifier(shape)
            encoder, report = AutoModel.from_pretrained(
                folder, **local, config=shape, dtype=torch.float32, use_safetensors=True,
                ignore_mismatched_sizes=True, output_loading_info=True,  # judged below, in plain words
            )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError, StrictDataclassError) as error:
        raise ConfigError(f"model.path={config.path} gives no text classifier: {_in_a_line(error)}") from error
    left = model.base_model.load_state_dict(encoder.state_dict(), strict=False).missing_keys
    # Encoders are often published without the pooler, which is then new, as the head is.
    absent = [key for key in report["missing_keys"] if not key.startswith("pooler.")]
    misfits = sorted([*absent, *(key for key, *_ in report["mismatched_keys"]), *left])
    require(not misfits, f"model.path={config.path}: the weights do not fit config.json, see {', '.join(misfits[:3])}")
    _log_what_is_new(folder, model, report, seed)
    return model


def _log_what_is_new(folder: Path, model: PreTrainedModel, report: dict[str, Any], seed: int) -> None:
    prefix = f"{model.base_model_prefix}."
    names = [name for name, _ in model.named_parameters()]
    new = [name for name in names if not name.startswith(prefix) or name.removeprefix(prefix) in report["missing_keys"]]
    unused = sorted({key.split(".")[0] for key in report["unexpected_keys"]})
    left_out = f"; not used: {', '.join(unused)}" if unused else ""
    log.info("encoder loaded from %s; new, drawn from seed %d: %s%s", folder, seed, ", ".join(new), left_out)


def _set_dropout(shape: PreTrainedConfig, dropout: float) -> None:
    """Every dropout that the architecture knows; their names differ (`attention_dropout`, `attn_pdrop`, ...)."""
    for name in shape.to_dict():
        if "dropout" in name or name.endswith("pdrop"):
            setattr(shape, name, dropout)


def _check_fit(
    config: PretrainedModel, model: PreTrainedModel, *, vocab_size: int, pad_id: int, max_length: int
) -> None:
    positions, num_tokens = _num_positions(model), len(model.get_input_embeddings().weight)  # type: ignore[arg-type]
    require(
        positions is None or max_length <= positions,
        f"task.max_length={max_length} is longer than the {positions} positions of model.path={config.path}",
    )
    require(
        vocab_size <= num_tokens,
        f"the tokenizer has {vocab_size} tokens, but model.path={config.path} has embeddings for {num_tokens}",
    )
    if model.config.pad_token_id is None:
        model.config.pad_token_id = pad_id
    require(
        model.config.pad_token_id == pad_id,
        f"the tokenizer pads with token {pad_id}, but model.path={config.path} with {model.config.pad_token_id}",
    )


def _num_positions(model: PreTrainedModel) -> int | None:
    """Tokens of the longest input; RoBERTa and its kin lose the positions up to that of padding."""
    for name, table in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, nn.Embedding):
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    return getattr(model.config, "max_position_embeddings", None)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Holds back its progress bar and its table of new and unused weights; one line of ours says what matters."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    hook = transformers_logging.set_tqdm_hook(lambda make, args, options: make(*args, **{**options, "disable": True}))
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(hook)
        transformers_logging.set_verbosity(verbosity)


def _in_a_line(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 240, placeholder=" ...")
