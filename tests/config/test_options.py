"""Options, checked against the signature of the factory that takes them."""

import pytest

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.options import bind_options


def factory(
    groups, lr: float, *, betas: tuple[float, float] = (0.9, 0.999), nesterov: bool = False, floor: float | None = None
): ...


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"betas": [0, 0.99]}, {"betas": (0.0, 0.99)}),
        ({"floor": None}, {"floor": None}),
        ({"floor": 1}, {"floor": 1.0}),
        ({"nesterov": True}, {"nesterov": True}),
    ],
)
def test_options_are_converted_to_the_annotated_types(options, bound):
    result = bind_options(factory, options, "optimizer.")
    assert result == bound
    assert [type(value) for value in result.values()] == [type(value) for value in bound.values()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 1}, "unknown key optimizer.beta; did you mean 'betas'?"),
        ({"lr": 1}, "unknown key optimizer.lr"),
        ({"betas": 0.9}, "optimizer.betas=0.9: must be a list of 2"),
        ({"betas": [0.9, "x"]}, "optimizer.betas=x: must be a number"),
        ({"nesterov": 1}, "optimizer.nesterov=1: must be true or false"),
        ({"floor": True}, "optimizer.floor=True: must be a number or null"),
    ],
)
def test_unknown_options_and_wrong_types_are_refused(options, message):
    with pytest.raises(ConfigError) as error:
        bind_options(factory, options, "optimizer.")
    assert message in str(error.value)
