"""Lookups in registries, and the suggestions in error messages."""

import pytest

from warmup_lab.config.errors import ConfigError, lookup, require_positive, suggestion

REGISTRY = {"linear": 1, "cosine": 2}


def test_lookup_is_case_insensitive():
    assert lookup(REGISTRY, "Cosine", "shape") == 2


def test_lookup_names_the_closest_and_all_known_names():
    with pytest.raises(ConfigError) as error:
        lookup(REGISTRY, "Cosin", "shape")
    assert str(error.value) == "unknown shape 'Cosin'; did you mean 'cosine'? Known: cosine, linear"


def test_nothing_is_suggested_for_a_name_unlike_any():
    assert suggestion("xyz", REGISTRY) == ". Known: cosine, linear"


@pytest.mark.parametrize(("value", "positive"), [(1, True), (None, True), (0, False), (-3, False)])
def test_require_positive(value, positive):
    if positive:
        require_positive(value, "batch_size")
    else:
        with pytest.raises(ConfigError, match=f"batch_size={value}: must be at least 1"):
            require_positive(value, "batch_size")
