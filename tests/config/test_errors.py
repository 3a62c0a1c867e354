"""Lookups in registries, and the suggestions in error messages."""

import pytest

from warmup_lab.config.errors import ConfigError, lookup, require_positive, suggestion, unknown_key

REGISTRY = {"linear": 1, "cosine": 2}


def test_lookup_is_case_insensitive():
    assert lookup(REGISTRY, "Cosine", "shape") == 2


def test_lookup_names_the_closest_and_all_known_names():
    with pytest.raises(ConfigError) as error:
        lookup(REGISTRY, "Cosin", "shape")
    assert str(error.value) == "unknown shape 'Cosin'; did you mean 'cosine'? Known: cosine, linear"


def test_nothing_is_suggested_for_a_name_unlike_any():
    assert suggestion("xyz", REGISTRY) == ". Known: cosine, linear"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sede", 1, "unknown key sede; did you mean 'seed'? Known: batch_size, seed"),
        ("colour", 1, "unknown key colour. Known: batch_size, seed"),
        ("learning_rate", "1e-3", "unknown key learning_rate; type optimizer.lr=1e-3"),
        ("leaning_rate", "1e-3", "unknown key leaning_rate; type optimizer.lr=1e-3"),
        ("optimizer.learning_rate", "1e-3", "unknown key optimizer.learning_rate; type optimizer.lr=1e-3"),
        (
            "gradient_checkpointing",
            "true",
            "unknown key gradient_checkpointing; remove it, since there is no such setting here",
        ),
        ("resume", "true", "unknown key resume; remove it, since the same command resumes an unfinished run"),
    ],
)
def test_an_unknown_key_has_a_correction(key, value, message):
    assert unknown_key(key, ["seed", "batch_size"], value) == message


def test_a_long_list_of_keys_is_left_to_help():
    assert (
        unknown_key("colour", [f"key{number}" for number in range(13)]) == "unknown key colour. --help lists all keys"
    )


@pytest.mark.parametrize(("value", "positive"), [(1, True), (None, True), (0, False), (-3, False)])
def test_require_positive(value, positive):
    if positive:
        require_positive(value, "batch_size")
    else:
        with pytest.raises(ConfigError, match=f"batch_size={value}: must be at least 1"):
            require_positive(value, "batch_size")
