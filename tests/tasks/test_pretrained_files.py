"""The files of pretrained models and tokenizers: their digest, and every key that leads to code or to other files."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from task_files import write

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import RandomModel
from warmup_lab.tasks import tokenizing
from warmup_lab.tasks.pretrained_files import check_model, checked_model, checked_tokenizer, content_digest

# ----------------------------------------------------------------------------------------------------------- digest


def test_content_digest_of_folders_files_and_hub_ids(tmp_path):
    folder = tmp_path / "model"
    write(folder / "config.json", "{}")
    write(folder / "model.safetensors", "weights")
    digest = content_digest(folder)
    write(folder / "README.md", "words")
    write(tmp_path / "copy" / "config.json", "{}")
    write(tmp_path / "copy" / "model.safetensors", "weights")
    assert content_digest(str(folder)) == content_digest(tmp_path / "copy") == digest
    write(folder / "model.safetensors", "Weights, changed")
    assert content_digest(folder) != digest
    assert content_digest(folder / "config.json") != content_digest(folder / "model.safetensors")
    assert content_digest("owner/name") == content_digest("owner/name") != content_digest("owner/name", "v1")
    with pytest.raises(ConfigError, match="no such folder"):
        content_digest("./nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ConfigError, match="has no model or tokenizer file"):
        content_digest(tmp_path / "bare")


# ------------------------------------------------------------------------------------------------------------ models


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write(tmp_path / "model" / "config.json", json.dumps({"model_type": "bert", "hidden_size": 8}))
    write(tmp_path / "model" / "model.safetensors", "weights")
    return tmp_path / "model"


def check(folder: Path):
    return check_model(folder, "model.path=x", ("bert",))


def test_only_the_configuration_and_the_weights_are_seen(model: Path) -> None:
    write(model / "modeling_x.py", "raise SystemExit")
    write(model / "pytorch_model.bin", "pickle")
    write(model / "generation_config.json", "{}")
    with checked_model(model, "x", ("bert",)) as checked:
        assert sorted(path.name for path in checked.iterdir()) == ["config.json", "model.safetensors"]
        assert (checked / "model.safetensors").read_text() == "weights"
    assert not checked.exists()


@pytest.mark.parametrize(
    "key",
    [
        "quantization_config", "compression_config", "configuration_files", "transformers_weights", "fusion_config",
        "per_layer_config",
    ],
)  # fmt: skip
@pytest.mark.parametrize("nested", [False, True])
def test_keys_that_lead_elsewhere_are_refused(model: Path, key: str, nested: bool) -> None:
    keys = {key: {"quant_method": "fp8"}}
    write(model / "config.json", json.dumps({"model_type": "bert", **({"text_config": [keys]} if nested else keys)}))
    name = f"text_config.0.{key}" if nested else key
    with pytest.raises(ConfigError, match=rf"^model.path=x: config.json has {name}, which is refused: "):
        check(model)
    write(model / "config.json", json.dumps({"model_type": "bert", key: None}))
    check(model)


@pytest.mark.parametrize(
    "key",
    ["attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation",
     "_experts_implementation", "decoder_attention_implementation"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["kernels-community/x", "paged|a/b@main:f", {"text_config": "a/b"}])
def test_kernels_of_the_hub_are_refused(model: Path, key: str, value: object) -> None:
    for keys in ({key: value}, {"text_config": {key: value}}):
        write(model / "config.json", json.dumps({"model_type": "bert", **keys}))
        with pytest.raises(
            ConfigError, match=rf"{key}=.*, which names code on the hub. It is never run: remove the key"
        ):
            check(model)
    write(
        model / "config.json", json.dumps({"model_type": "bert", key: "flash_attention_2", "text_config": {key: "x"}})
    )
    assert check(model)[0] == {"model_type": "bert", "text_config": {}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "config.json must be a JSON object"),
        ("{", "config.json is not valid JSON"),
        ("[" * 100_000, "config.json is not valid JSON"),
        ("{}", "unknown model_type None"),
        ('{"model_type": ["bert"]}', "unknown model_type ['bert']"),
        ('{"model_type": "clip"}', "unknown model_type 'clip'"),
        ('{"model_type": "x", "auto_map": {"AutoConfig": "a.B"}}', "it needs custom code (auto_map)"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used_is_refused(model: Path, text: str, message: str) -> None:
    write(model / "config.json", text)
    with pytest.raises(ConfigError, match=re.escape(message)):
        check(model)


def test_custom_code_beside_a_known_model_is_left_out(model: Path) -> None:
    code = {"auto_map": {"AutoModel": "modeling_x.X"}, "custom_pipelines": {"a": {"impl": "x.P"}}}
    write(model / "config.json", json.dumps({"model_type": "bert", **code}))
    assert check(model)[0] == {"model_type": "bert"}


def test_adapters_are_refused(model: Path) -> None:
    write(model / "adapter_config.json", '{"base_model_name_or_path": "other/model"}')
    with pytest.raises(ConfigError, match=r"model.path=x holds an adapter .*: merge it"):
        check(model)


@pytest.fixture
def index(model: Path):
    """Replaces the weights by an index that names these files, and those that exist."""
    (model / "model.safetensors").unlink()

    def index(*names: object, missing: tuple[str, ...] = ()) -> None:
        write(model / "model.safetensors.index.json", json.dumps({"weight_map": dict(enumerate(names))}))
        for name in names:
            if isinstance(name, str) and name and name not in missing:
                write(model / name, "weights")

    return index


def test_the_files_of_an_index_are_seen_and_part_of_the_digest(model: Path, index) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index(*names)
    with checked_model(model, "x", ("bert",)) as checked:
        assert sorted(path.name for path in checked.glob("*.safetensors*")) == [*names, "model.safetensors.index.json"]
    digest = content_digest(model)
    write(model / names[1], "others!")
    assert content_digest(model) != digest


@pytest.mark.parametrize(
    "name",
    [
        "model.bin", "pytorch_model.bin", "a.safetensors.bin", "../outside.safetensors", "sub/a.safetensors",
        ".hidden.safetensors", "./a.safetensors", "a b.safetensors", "a.safetensors\n", "", 7,
        "shard-00001-model-00001-of-00001.safetensors",
    ],
)  # fmt: skip
def test_an_index_names_safetensors_files_in_the_folder_only(model: Path, index, name: object) -> None:
    index("model-1.safetensors", name)
    with pytest.raises(ConfigError, match="only safetensors files in the folder itself are read"):
        check(model)


def test_an_index_names_an_absolute_path(model: Path, index, tmp_path: Path) -> None:
    index(str(tmp_path / "a.safetensors"))
    with pytest.raises(ConfigError, match="only safetensors files in the folder itself are read"):
        check(model)


def test_an_index_that_cannot_be_used_is_refused(model: Path, index) -> None:
    index("a.safetensors", missing=("a.safetensors",))
    with pytest.raises(ConfigError, match=r"names a.safetensors, which is not there"):
        check(model)
    for text in ("{}", '{"weight_map": []}', '{"weight_map": {}}'):
        write(model / "model.safetensors.index.json", text)
        with pytest.raises(ConfigError, match="has no weight_map"):
            check(model)


# -------------------------------------------------------------------------------------------------------- tokenizers

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "the", "film"]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    write(tmp_path / "tokenizer" / "vocab.txt", "\n".join(WORDS))
    write(tmp_path / "tokenizer" / "config.json", '{"model_type": "bert"}')
    write(tmp_path / "elsewhere" / "vocab.txt", "\n".join([*WORDS[:5], "film", "the"]))
    return tmp_path / "tokenizer"


def tokens(folder: Path) -> list[int]:
    model = RandomModel("bert", tokenizer=str(folder))
    found = tokenizing._tokenizer(None, model)  # type: ignore[arg-type]  # an existing tokenizer needs no corpus
    return found.encoder(8).encode("the film").ids


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("key", ["vocab_file", "vocab", "tokenizer_file", "merges", "spm_file", "gguf_file"])
def test_a_tokenizer_reads_no_file_outside_its_digest(tokenizer: Path, tmp_path: Path, file: str, key: str) -> None:
    """transformers follows `vocab` in both files, and `vocab_file` in the second."""
    write(tokenizer / file, json.dumps({key: str(tmp_path / "elsewhere" / "vocab.txt")}))
    assert tokens(tokenizer) == [1, 5, 6, 2]


@pytest.mark.parametrize(
    "settings",
    [
        {"fast_tokenizer_files": ["../elsewhere/tokenizer.4.0.0.json"]},
        {"sp_model_kwargs": {"model_file": "/x"}, "mecab_kwargs": {"mecab_option": "-r /x"}},
        {"init_inputs": ["/x"]},
        {"tokenizer_object": "x", "post_processor": "x"},
        {"auto_map": {"AutoTokenizer": ["code.Slow", "code.Fast"]}, "tokenizer_class": "BertTokenizer"},
        {"auto_map": {"AutoTokenizer": ["evil/repo--code.Slow", None]}, "tokenizer_class": "BertTokenizer"},
    ],
)
def test_keys_of_a_tokenizer_that_lead_elsewhere_are_not_used(tokenizer: Path, settings: dict[str, object]) -> None:
    write(tokenizer / "tokenizer_config.json", json.dumps(settings))
    write(tokenizer / "code.py", "raise SystemExit('ran')")
    assert tokens(tokenizer) == [1, 5, 6, 2]


def test_a_tokenizer_that_needs_its_own_code_is_refused(tokenizer: Path) -> None:
    settings = {"auto_map": {"AutoTokenizer": [None, "code.Fast"]}, "tokenizer_class": "Mine"}
    write(tokenizer / "tokenizer_config.json", json.dumps(settings))
    write(tokenizer / "config.json", '{"model_type": "mine", "auto_map": {"AutoConfig": "code.Config"}}')
    write(tokenizer / "code.py", "raise SystemExit('ran')")
    with pytest.raises(ConfigError, match=r"gives no tokenizer: .*custom code"):
        tokens(tokenizer)


def test_what_is_seen_of_a_tokenizer_is_part_of_its_digest(tokenizer: Path) -> None:
    for name in ("chat_template.jinja", "additional_chat_templates/a.jinja", "tekken.py", "a.bin", "sub/vocab.txt"):
        write(tokenizer / name, "x")
    write(
        tokenizer / "config.json",
        '{"model_type": "bert", "backbone": "a/b", "text_config": {}, "quantization_config": 1}',
    )
    with checked_tokenizer(tokenizer, "x") as checked:
        assert sorted(path.name for path in checked.iterdir()) == ["config.json", "vocab.txt"]
        assert json.loads((checked / "config.json").read_text()) == {"model_type": "bert"}


def test_a_damaged_file_of_a_tokenizer_is_named(tokenizer: Path) -> None:
    write(tokenizer / "special_tokens_map.json", "{")
    with pytest.raises(
        ConfigError, match=r"model.tokenizer=.* gives no tokenizer: .*special_tokens_map.json is not valid"
    ):
        tokens(tokenizer)


# ---------------------------------------------------------------------------------- what transformers loads by itself


def test_no_model_that_can_be_loaded_calls_for_kernels_of_the_hub() -> None:
    """transformers' code of some models downloads kernels, which are code, if the package kernels is installed."""
    from transformers.models.auto.configuration_auto import model_type_to_module_name
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    from warmup_lab.models import pretrained

    origin = importlib.util.find_spec("transformers").origin
    calling = set()
    for name in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        folder = Path(origin).parent / "models" / model_type_to_module_name(name)
        texts = [path.read_text(encoding="utf-8") for path in folder.glob("modeling_*.py")]
        if any(
            re.search(r"get_kernel\(|lazy_load_kernel\(|cpp_extension|torch\.load\(|pickle\.load", text)
            for text in texts
        ):
            calling.add(name)
    assert calling == {"mra", "yoso"}
    assert not calling & set(pretrained._MODEL_TYPES)
