"""Configuration of models: titles and ranges."""

import pytest

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import PretrainedModel, RandomModel


@pytest.mark.parametrize(
    ("model", "title"),
    [
        (RandomModel("preln"), "preln"),
        (RandomModel("bert", id="bert_tiny"), "bert_tiny"),
        (PretrainedModel("pretrained", path="owner/name"), "name"),
        (PretrainedModel("pretrained", path="/data/minilm/model"), "minilm-model"),
        (PretrainedModel("pretrained", path="runs/x/checkpoint-500/"), "x-checkpoint-500"),
        (PretrainedModel("pretrained", path="./model"), "model"),
        (PretrainedModel("pretrained", path="C:\\models\\mine\\"), "mine"),
        (PretrainedModel("pretrained", id="minilm", path="owner/name"), "minilm"),
    ],
)
def test_title(model, title):
    assert model.title == title


@pytest.mark.parametrize(
    ("schema", "keys", "message"),
    [
        (RandomModel, {"num_layers": 0}, "model.num_layers=0: must be at least 1"),
        (RandomModel, {"hidden_size": 128, "num_heads": 3}, "model.num_heads=3 does not divide model.hidden_size=128"),
        (RandomModel, {"dropout": 1.0}, "model.dropout=1.0: must be in [0, 1)"),
        (RandomModel, {"vocab_size": 99}, "model.vocab_size=99: must be at least 100"),
        (PretrainedModel, {}, "model=pretrained needs model.path=<folder or hub id>"),
        (PretrainedModel, {"path": "owner/name", "dropout": -0.1}, "model.dropout=-0.1: must be in [0, 1)"),
    ],
)
def test_a_value_out_of_range_is_refused(schema, keys, message):
    with pytest.raises(ConfigError) as error:
        schema(**keys)
    assert message in str(error.value)
