"""Classifiers from random weights and on a pretrained encoder: sizes, seeds, what is loaded, and every refusal."""

import json
import logging
import random
import re
import shutil
import socket
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, RobertaConfig, RobertaModel

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import MODEL_KINDS, ModelConfig, PretrainedModel, RandomModel
from warmup_lab.models.build import build_model, pretrained_folder

CONF = Path(__file__).resolve().parents[2] / "conf" / "model"
TINY = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}


def build(config: ModelConfig, *, seed: int = 0, **changes) -> torch.nn.Module:
    arguments = {"vocab_size": 50, "pad_id": 0, "label_names": ("bad", "good"), "max_length": 16}
    return build_model(config, seed=seed, **{**arguments, **changes})


def tiny(kind: str = "bert", **keys) -> RandomModel:
    return RandomModel(kind, **{"num_layers": 1, "hidden_size": 8, "num_heads": 2, **keys})


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    weights, others = one.state_dict(), other.state_dict()
    return weights.keys() == others.keys() and all(torch.equal(weights[key], others[key]) for key in weights)


# --------------------------------------------------------------------------------------------- random weights


@pytest.mark.parametrize(
    ("option", "encoder", "hidden_size"),
    [
        ("bert_base", 109_482_240, 768),  # Devlin et al. 2019: 110M
        ("bert_small", 28_763_648, 512),  # Turc et al. 2019: 28.8M, 11.2M, 4.4M
        ("bert_mini", 11_170_560, 256),
        ("bert_tiny", 4_385_920, 128),
    ],
)
def test_sizes_are_the_published_ones(option, encoder, hidden_size):
    with torch.device("meta"):
        model = build(RandomModel(**OmegaConf.load(CONF / f"{option}.yaml")), vocab_size=30522)
    classifier = 2 * hidden_size + 2
    assert sum(parameter.numel() for parameter in model.parameters()) == encoder + classifier


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_weights_are_a_function_of_the_seed_alone(kind):
    first = build(tiny(kind), seed=1)
    torch.manual_seed(99)
    assert same(first, build(tiny(kind), seed=1))
    other = build(tiny(kind), seed=2)
    matrices = [name for name, weight in first.named_parameters() if weight.ndim == 2]
    assert not any(torch.equal(first.get_parameter(name), other.get_parameter(name)) for name in matrices)


def test_weights_are_drawn_as_bert_was():
    weights = dict(build(RandomModel("bert", hidden_size=128), vocab_size=1000).named_parameters())
    matrix = weights["bert.encoder.layer.1.intermediate.dense.weight"]
    assert matrix.shape == (512, 128)
    assert (matrix.mean().item(), matrix.std().item()) == (pytest.approx(0, abs=1e-3), pytest.approx(0.02, rel=0.02))
    assert torch.all(weights["bert.encoder.layer.0.output.LayerNorm.weight"] == 1)
    assert torch.all(weights["classifier.bias"] == 0)


def test_the_global_random_states_stay_as_they_were(bert_folder):
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    for config in (tiny(), tiny("preln"), PretrainedModel("pretrained", path=str(bert_folder))):
        build(config, seed=5)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # noqa: NPY002


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_what_every_random_model_has(kind):
    model = build(tiny(kind, dropout=0.3), label_names=("a", "b", "c"))
    assert model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.3}
    config = model.config
    assert config.attention_probs_dropout_prob == 0.3  # SDPA reads it from the configuration
    assert config._attn_implementation == "sdpa"
    assert (config.id2label, config.label2id) == ({0: "a", 1: "b", 2: "c"}, {"a": 0, "b": 1, "c": 2})
    assert config.problem_type == "single_label_classification"


@pytest.mark.parametrize("pad_id", [0, 3])
@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_padding_changes_nothing(kind, pad_id):
    model = build(tiny(kind), pad_id=pad_id).eval()
    tokens = torch.tensor([[5, 6, 7, 8]])  # (B, S)
    padded = torch.nn.functional.pad(tokens, (0, 5), value=pad_id)
    plain = model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
    torch.testing.assert_close(model(input_ids=padded, attention_mask=padded.ne(pad_id).long()).logits, plain)


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_both_segments_and_the_longest_input_fit(kind):
    model = build(tiny(kind), pad_id=3, max_length=600).eval()
    tokens = torch.full((1, 600), 7)
    segments = torch.arange(600).ge(300).long()[None]
    both = model(input_ids=tokens, token_type_ids=segments).logits
    assert both.shape == (1, 2)
    assert not torch.equal(both, model(input_ids=tokens, token_type_ids=torch.zeros_like(segments)).logits)


def test_preln_normalises_before_each_block_and_once_at_the_end():
    names = [name for name, _ in build(tiny("preln")).named_parameters() if name.endswith("LayerNorm.weight")]
    assert names == [
        "roberta_prelayernorm.embeddings.LayerNorm.weight",
        "roberta_prelayernorm.encoder.layer.0.attention.LayerNorm.weight",
        "roberta_prelayernorm.encoder.layer.0.intermediate.LayerNorm.weight",
        "roberta_prelayernorm.LayerNorm.weight",
    ]


def test_one_label_is_refused():
    with pytest.raises(ConfigError, match=r"1 label\(s\), \['only'\]: a classifier needs two or more"):
        build(tiny(), label_names=["only"])


# ------------------------------------------------------------------------------------------------- pretrained


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory) -> Path:
    """An encoder as sentence-transformers and Google's BERT are published: `BertModel`, no head."""
    folder = tmp_path_factory.mktemp("pretrained") / "bert"
    BertModel(BertConfig(**TINY, max_position_embeddings=32)).save_pretrained(folder)
    return folder


@pytest.fixture
def copied(bert_folder, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(bert_folder, tmp_path / "copied"))


def pretrained(folder: Path, *, dropout: float | None = None, **changes) -> torch.nn.Module:
    return build(PretrainedModel("pretrained", path=str(folder), dropout=dropout), **changes)


def test_the_encoder_is_the_folders_and_the_head_is_the_seeds(bert_folder):
    folders = load_file(bert_folder / "model.safetensors")
    one, again, other = (pretrained(bert_folder, seed=seed) for seed in (1, 1, 2))
    for model in (one, other):
        encoder = model.bert.state_dict()
        assert encoder.keys() == folders.keys()
        assert all(torch.equal(encoder[key], folders[key]) for key in folders)
    assert same(one, again)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    assert one.classifier.weight.std().item() == pytest.approx(0.02, rel=0.5)
    assert one.training
    assert one.config._attn_implementation == "sdpa"


def test_a_head_in_the_folder_is_never_used(tmp_path, bert_folder):
    """Neither one of as many labels, which would fit, nor another; the new one equals that on any such encoder."""
    for num_labels in (2, 5):
        published = BertForSequenceClassification(
            BertConfig(**TINY, max_position_embeddings=32, num_labels=num_labels, problem_type="regression")
        )
        published.save_pretrained(tmp_path / str(num_labels))
        model = pretrained(tmp_path / str(num_labels), seed=1)
        assert torch.equal(model.classifier.weight, pretrained(bert_folder, seed=1).classifier.weight)
        assert torch.equal(model.bert.pooler.dense.weight, published.bert.pooler.dense.weight)
        assert model.config.id2label == {0: "bad", 1: "good"}
        assert model.config.problem_type == "single_label_classification"


def test_an_encoder_without_pooler_gets_one_from_the_seed(tmp_path):
    BertModel(BertConfig(**TINY), add_pooling_layer=False).save_pretrained(tmp_path)
    one, again, other = (pretrained(tmp_path, seed=seed) for seed in (1, 1, 2))
    assert same(one, again)
    assert not torch.equal(one.bert.pooler.dense.weight, other.bert.pooler.dense.weight)


def test_half_precision_weights_become_float32(tmp_path):
    BertModel(BertConfig(**TINY)).half().save_pretrained(tmp_path)
    assert {parameter.dtype for parameter in pretrained(tmp_path).parameters()} == {torch.float32}


def test_dropout_is_the_models_own_unless_given(tmp_path):
    BertModel(BertConfig(**TINY, hidden_dropout_prob=0.25, attention_probs_dropout_prob=0.15)).save_pretrained(tmp_path)
    own = pretrained(tmp_path)
    assert (own.dropout.p, own.config.attention_probs_dropout_prob) == (0.25, 0.15)
    given = pretrained(tmp_path, dropout=0.0)
    assert {module.p for module in given.modules() if isinstance(module, torch.nn.Dropout)} == {0.0}
    assert (given.config.attention_probs_dropout_prob, given.bert.config.attention_probs_dropout_prob) == (0.0, 0.0)


def test_loading_a_folder_says_one_line_and_asks_no_network(bert_folder, monkeypatch, capfd, caplog):
    def refuse(*_args, **_options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with caplog.at_level(logging.INFO):
        pretrained(bert_folder, seed=7)
    assert caplog.messages == [
        f"encoder loaded from {bert_folder}; new, drawn from seed 7: classifier.weight, classifier.bias"
    ]
    assert capfd.readouterr().err == ""


def test_a_hub_id_comes_from_the_hubs_cache_without_a_network(bert_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit, cached = "0" * 40, tmp_path / "models--owner--name"
    shutil.copytree(bert_folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    assert pretrained_folder(PretrainedModel("pretrained", path="owner/name")) == cached / "snapshots" / commit


# -------------------------------------------------------------------------------------------------- refusals


def test_a_missing_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"model.path=\S+/nowhere: there is no such folder"):
        pretrained(tmp_path / "nowhere")


def test_a_hub_id_without_network(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = r"model.path=owner/name: .*cannot be reached.*\n.*network.*model.path=<local folder> with config.json"
    with pytest.raises(ConfigError, match=message):
        pretrained(Path("owner/name"))


def test_a_revision_of_a_folder(bert_folder):
    with pytest.raises(ConfigError, match=r"model.revision=v2 is for hub ids, and model.path=\S+ is a folder"):
        build(PretrainedModel("pretrained", path=str(bert_folder), revision="v2"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file(copied, name):
    (copied / name).unlink()
    with pytest.raises(ConfigError, match=rf"model.path={copied}: .*{name}"):
        pretrained(copied)


def test_pickled_weights_are_refused_with_a_command_that_converts_them(copied):
    expected = pretrained(copied)
    weights = copied / "model.safetensors"
    torch.save(load_file(weights), copied / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ConfigError, match="safetensors only") as refusal:
        pretrained(copied)
    exec(re.search('python -c "(.*)"', str(refusal.value)).group(1), {})
    assert same(pretrained(copied), expected)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", b"cut off", "gives no text classifier: SafetensorError"),
        ("config.json", b"{", "gives no text classifier: .*valid JSON"),
        ("config.json", b'{"model_type": "unheard-of"}', "gives no text classifier: .*unheard-of"),
        ("config.json", b'{"model_type": "clip"}', "gives no text classifier: .*CLIPConfig"),
        ("config.json", b'{"model_type": "bert", "hidden_size": "wide"}', "gives no text classifier: .*hidden_size"),
        ("config.json", b'{"model_type": "x", "auto_map": {"AutoConfig": "code.X"}}', "gives no text .*custom code"),
    ],
)
def test_a_broken_folder(copied, name, content, message):
    (copied / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as refusal:
        pretrained(copied)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "value", "first"),
    [("num_hidden_layers", 2, "encoder.layer.1."), ("vocab_size", 51, "embeddings.word_embeddings.weight")],
)
def test_weights_that_are_not_of_this_configuration(copied, key, value, first):
    """Part of the encoder would be new, which transformers only warns of."""
    settings = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**settings, key: value}))
    with pytest.raises(ConfigError, match=f"the weights do not fit config.json, see {first}"):
        pretrained(copied)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_length": 33}, "task.max_length=33 is longer than the 32 positions of model.path="),
        ({"vocab_size": 51}, "the tokenizer has 51 tokens, but .* has embeddings for 50"),
        ({"pad_id": 1}, "the tokenizer pads with token 1, but .* with 0"),
    ],
)
def test_a_task_that_does_not_fit(bert_folder, changes, message):
    pretrained(bert_folder, max_length=32)
    with pytest.raises(ConfigError, match=message):
        pretrained(bert_folder, **changes)


def test_roberta_has_fewer_positions_than_rows_of_them(tmp_path):
    RobertaModel(RobertaConfig(**TINY, max_position_embeddings=34)).save_pretrained(tmp_path)
    model = pretrained(tmp_path, pad_id=1, max_length=32).eval()
    assert model(input_ids=torch.full((1, 32), 7)).logits.shape == (1, 2)
    with pytest.raises(ConfigError, match="longer than the 32 positions"):
        pretrained(tmp_path, pad_id=1, max_length=33)


# ---------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_option_holds_exactly_the_keys_of_its_schema(path):
    values = dict(OmegaConf.load(path))
    schema = MODEL_KINDS[values["kind"]]
    assert list(values) == [item.name for item in fields(schema)]
    if schema is RandomModel:
        assert schema(**values).title == path.stem
    else:
        assert schema(**{**values, "path": "owner/name"}).title == "name"
        with pytest.raises(ConfigError, match=r"needs model\.path="):
            schema(**values)


def test_the_options_are_these():
    names = {path.stem for path in CONF.glob("*.yaml")}
    assert names == {
        "bert_tiny", "bert_mini", "bert_small", "bert_base", "preln_tiny", "preln_mini", "pretrained"
    }  # fmt: skip
