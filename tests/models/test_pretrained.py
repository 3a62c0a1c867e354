"""Classifiers on a pretrained encoder: what is loaded, what is new, and every refusal."""

from __future__ import annotations

import json
import logging
import re
import shutil
import socket
from pathlib import Path

import pytest
import torch
from classifiers import TINY_BERT, build, same_weights
from safetensors.torch import load_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, RobertaConfig, RobertaModel

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import PretrainedModel
from warmup_lab.models.pretrained import pretrained_folder


@pytest.fixture
def copied_folder(bert_folder, tmp_path) -> Path:
    """A copy of `bert_folder` that a test can damage."""
    return Path(shutil.copytree(bert_folder, tmp_path / "copied_folder"))


def pretrained(folder: Path, *, dropout: float | None = None, **changes) -> torch.nn.Module:
    return build(PretrainedModel("pretrained", path=str(folder), dropout=dropout), **changes)


def test_the_encoder_comes_from_the_folder_and_the_head_from_the_seed(bert_folder):
    stored = load_file(bert_folder / "model.safetensors")
    one, again, other = (pretrained(bert_folder, seed=seed) for seed in (1, 1, 2))
    for model in (one, other):
        encoder = model.bert.state_dict()
        assert encoder.keys() == stored.keys()
        assert all(torch.equal(encoder[key], stored[key]) for key in stored)
    assert same_weights(one, again)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    assert one.classifier.weight.std().item() == pytest.approx(0.02, rel=0.5)
    assert one.training
    assert one.config._attn_implementation == "sdpa"


def test_a_head_in_the_folder_is_not_used(tmp_path, bert_folder):
    """Neither with as many labels, which would fit, nor with more. The new head is that of any such encoder."""
    for num_labels in (2, 5):
        published = BertForSequenceClassification(
            BertConfig(**TINY_BERT, max_position_embeddings=32, num_labels=num_labels, problem_type="regression")
        )
        published.save_pretrained(tmp_path / str(num_labels))
        model = pretrained(tmp_path / str(num_labels), seed=1)
        assert torch.equal(model.classifier.weight, pretrained(bert_folder, seed=1).classifier.weight)
        assert torch.equal(model.bert.pooler.dense.weight, published.bert.pooler.dense.weight)
        assert model.config.id2label == {0: "bad", 1: "good"}
        assert model.config.problem_type == "single_label_classification"


def test_an_encoder_without_pooler_gets_one_from_the_seed(tmp_path):
    BertModel(BertConfig(**TINY_BERT), add_pooling_layer=False).save_pretrained(tmp_path)
    one, again, other = (pretrained(tmp_path, seed=seed) for seed in (1, 1, 2))
    assert same_weights(one, again)
    assert not torch.equal(one.bert.pooler.dense.weight, other.bert.pooler.dense.weight)


def test_half_precision_weights_become_float32(tmp_path):
    BertModel(BertConfig(**TINY_BERT)).half().save_pretrained(tmp_path)
    assert {parameter.dtype for parameter in pretrained(tmp_path).parameters()} == {torch.float32}


def test_dropout_is_that_of_the_folder_unless_set(tmp_path):
    BertModel(BertConfig(**TINY_BERT, hidden_dropout_prob=0.25, attention_probs_dropout_prob=0.15)).save_pretrained(
        tmp_path
    )
    own = pretrained(tmp_path)
    assert (own.dropout.p, own.config.attention_probs_dropout_prob) == (0.25, 0.15)
    given = pretrained(tmp_path, dropout=0.0)
    assert {module.p for module in given.modules() if isinstance(module, torch.nn.Dropout)} == {0.0}
    assert (given.config.attention_probs_dropout_prob, given.bert.config.attention_probs_dropout_prob) == (0.0, 0.0)


def test_loading_a_folder_logs_one_line_and_uses_no_network(bert_folder, monkeypatch, capfd, caplog):
    def refuse(*_args, **_options):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with caplog.at_level(logging.INFO):
        pretrained(bert_folder, seed=7)
    assert caplog.messages == [
        f"encoder loaded from {bert_folder}; new weights, drawn from seed 7: classifier.weight, classifier.bias"
    ]
    assert capfd.readouterr().err == ""


def test_without_a_network_a_hub_id_is_read_from_the_cache_of_the_hub(bert_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit, cached = "0" * 40, tmp_path / "models--owner--name"
    shutil.copytree(bert_folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    assert pretrained_folder(PretrainedModel("pretrained", path="owner/name")) == cached / "snapshots" / commit


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"model.path=\S+/nowhere: there is no such folder"):
        pretrained(tmp_path / "nowhere")


def test_a_hub_id_is_refused_without_a_network(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = r"model.path=owner/name: .*cannot be reached.*\n.*network.*model.path=<local folder> with config.json"
    with pytest.raises(ConfigError, match=message):
        pretrained(Path("owner/name"))


def test_a_revision_of_a_folder_is_refused(bert_folder):
    with pytest.raises(ConfigError, match=r"model.revision=v2 is for hub ids, and model.path=\S+ is a folder"):
        build(PretrainedModel("pretrained", path=str(bert_folder), revision="v2"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_without_weights_or_configuration_is_refused(copied_folder, name):
    (copied_folder / name).unlink()
    with pytest.raises(ConfigError, match=rf"model.path={copied_folder}: .*{name}"):
        pretrained(copied_folder)


def test_pickled_weights_are_refused_with_a_command_to_convert_them(copied_folder):
    expected = pretrained(copied_folder)
    weights = copied_folder / "model.safetensors"
    torch.save(load_file(weights), copied_folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ConfigError, match="only safetensors") as refusal:
        pretrained(copied_folder)
    exec(re.search('python -c "(.*)"', str(refusal.value)).group(1), {})
    assert same_weights(pretrained(copied_folder), expected)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", b"cut off", "gives no text classifier: SafetensorError"),
        ("config.json", b"{", ": config.json is not valid JSON"),
        ("config.json", b'{"model_type": "unheard-of"}', "gives no text classifier: .*unheard-of"),
        ("config.json", b'{"model_type": "clip"}', "gives no text classifier: .*clip"),
        ("config.json", b'{"model_type": "mra"}', "gives no text classifier: .*mra"),
        ("config.json", b'{"model_type": "bert", "hidden_size": "wide"}', "gives no text classifier: .*hidden_size"),
        ("config.json", b'{"model_type": "x", "auto_map": {"AutoConfig": "code.X"}}', "gives no text .*custom code"),
    ],
)
def test_a_damaged_folder_is_refused(copied_folder, name, content, message):
    (copied_folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as refusal:
        pretrained(copied_folder)
    assert len(str(refusal.value).splitlines()) == 1


def change_config(folder: Path, **keys: object) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, **keys}))


@pytest.fixture
def asked_for_kernels(monkeypatch) -> list[str]:
    """As if the package kernels were installed. Records the kernels that transformers asks the hub for."""
    asked: list[str] = []

    def get_kernel(name: str, **_: object) -> None:
        asked.append(name)
        raise ImportError("no network")

    for module in ("modeling_utils", "integrations.hub_kernels"):
        monkeypatch.setattr(f"transformers.{module}.is_kernels_available", lambda: True)
    monkeypatch.setattr("transformers.integrations.hub_kernels.get_kernel", get_kernel)
    return asked


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("attn_implementation", "kernels-community/flash-attn2", "names code on the hub"),
        ("_attn_implementation", "kernels-community/flash-attn2", "names code on the hub"),
        ("attn_implementation", "flash_attention_2", None),
    ],
)
def test_no_kernel_is_asked_for(copied_folder, asked_for_kernels, key, value, message):
    change_config(copied_folder, **{key: value})
    with pytest.raises((ImportError, ValueError)):  # the reproduction: transformers alone
        BertModel.from_pretrained(copied_folder)
    assert asked_for_kernels == ["kernels-community/flash-attn2"]
    if message:
        with pytest.raises(ConfigError, match=message):
            pretrained(copied_folder)
    else:
        assert pretrained(copied_folder).config._attn_implementation == "sdpa"
    assert len(asked_for_kernels) == 1


def test_weights_in_several_files_are_loaded(copied_folder, bert_folder):
    expected = pretrained(bert_folder)
    (copied_folder / "model.safetensors").unlink()
    BertModel.from_pretrained(bert_folder).save_pretrained(copied_folder, max_shard_size="2KB")
    assert len(list(copied_folder.glob("model-*.safetensors"))) > 1
    assert same_weights(pretrained(copied_folder), expected)


def test_an_index_cannot_name_pickled_weights(copied_folder, monkeypatch):
    weights = copied_folder / "model.safetensors"
    names = dict.fromkeys(load_file(weights), "weights.bin")
    torch.save(load_file(weights), copied_folder / "weights.bin")
    weights.unlink()
    (copied_folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    loaded = []
    monkeypatch.setattr(torch, "load", lambda file, **_: loaded.append(str(file)) or {})
    BertModel.from_pretrained(copied_folder, use_safetensors=True)  # the reproduction: transformers alone
    assert loaded == [str(copied_folder / "weights.bin")]
    with pytest.raises(ConfigError, match=r"names 'weights.bin': only safetensors files in the folder itself are read"):
        pretrained_folder(PretrainedModel("pretrained", path=str(copied_folder)))
    assert len(loaded) == 1


def test_code_in_the_folder_is_not_run(copied_folder):
    change_config(copied_folder, auto_map={"AutoConfig": "code.Config", "AutoModel": "code.Model"})
    (copied_folder / "code.py").write_text("raise SystemExit('ran')")
    model = pretrained(copied_folder)
    assert type(model) is BertForSequenceClassification
    assert not hasattr(model.config, "auto_map")


@pytest.mark.parametrize(
    ("key", "value", "first"),
    [("num_hidden_layers", 2, "encoder.layer.1."), ("vocab_size", 51, "embeddings.word_embeddings.weight")],
)
def test_weights_that_do_not_fit_the_configuration_are_refused(copied_folder, key, value, first):
    """Part of the encoder would be new. transformers only warns about that."""
    change_config(copied_folder, **{key: value})
    with pytest.raises(ConfigError, match=f"the weights do not fit config.json, see {first}"):
        pretrained(copied_folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_length": 33}, "task.max_length=33 is longer than the 32 positions of model.path="),
        ({"vocab_size": 51}, "the tokenizer has 51 tokens, but .* has embeddings for 50"),
        ({"pad_id": 1}, "the tokenizer pads with token 1, but .* with 0"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(bert_folder, changes, message):
    pretrained(bert_folder, max_length=32)
    with pytest.raises(ConfigError, match=message):
        pretrained(bert_folder, **changes)


def test_roberta_has_fewer_positions_than_rows_in_its_position_table(tmp_path):
    RobertaModel(RobertaConfig(**TINY_BERT, max_position_embeddings=34)).save_pretrained(tmp_path)
    model = pretrained(tmp_path, pad_id=1, max_length=32).eval()
    assert model(input_ids=torch.full((1, 32), 7)).logits.shape == (1, 2)
    with pytest.raises(ConfigError, match="longer than the 32 positions"):
        pretrained(tmp_path, pad_id=1, max_length=33)
