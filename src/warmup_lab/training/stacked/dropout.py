"""Dropout whose masks do not depend on which runs are stacked.

Whether an element is kept is a pure function of the run's seed, the update, the example, the dropout call and the
element's place in the example. So a run has the same masks in every group, at every padding and with every split into
micro-batches, and strategies with equal seeds share them. There is no generator whose state could differ.

The function is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): a
counter goes through a mix of shifts and multiplications. Each coordinate selects one number of a generator that starts
at the number selected by the coordinate before it. The arithmetic is of integers, so CPU and GPU have equal masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_INCREMENT, _FIRST_FACTOR, _SECOND_FACTOR = (
    number - 2**64  # torch's integers are signed
    for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_NUMBERS_AT_ONCE_CPU, _NUMBERS_AT_ONCE_GPU = 2**16, 2**24
"""Hashes per pass: on the CPU so few that they stay in the cache, on a GPU so many that kernel starts do not count."""


class HashedDropout(TorchFunctionMode):
    """Inside the block, `F.dropout` and `nn.Dropout` keep the elements that `keep_mask` says, for one forward pass.

    Args:
        keys: `(B,)`, one integer an example, from `example_keys`.

    Raises:
        NotImplementedError: dropout in place, or of a tensor whose first dimension is not the examples.
    """

    def __init__(self, keys: Tensor) -> None:
        super().__init__()
        self._keys, self._num_calls = keys, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.dropout:
            return self._dropout(*args, **kwargs or {})
        return func(*args, **kwargs or {})

    def _dropout(self, values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        call = self._num_calls
        self._num_calls += 1  # of all calls, so that the number of one does not depend on the rates of others
        if not training or p == 0.0:
            return values
        if inplace or values.ndim < 2 or len(values) != len(self._keys):
            what = f"{'in-place ' if inplace else ''}dropout of a tensor of shape {tuple(values.shape)}"
            raise NotImplementedError(f"{what}: stacked runs need a copy, and examples as the first of its dimensions")
        dropped: Tensor = _Dropout.apply(  # type: ignore[no-untyped-call]
            values, self._keys, call, p
        )[0]
        return dropped


class _Dropout(torch.autograd.Function):
    """Dropout of values `(..., B, *shape)`, examples with keys `(..., B)`, in a numbered call of the forward pass.

    The mask is an output, because only inputs and outputs can be saved for the backward pass.
    """

    @staticmethod
    def forward(values: Tensor, keys: Tensor, call: int, p: float) -> tuple[Tensor, Tensor]:
        keep = keep_mask(_numbers(keys, call), values.shape[keys.ndim :], p)
        return _kept(values, keep, p), keep

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, float], output: tuple[Tensor, Tensor]) -> None:
        ctx.p = inputs[3]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        (keep,) = ctx.saved_tensors
        return _kept(gradient, keep, ctx.p), None, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], values: Tensor, keys: Tensor, call: int, p: float
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """All runs at once, with the runs as first dimension."""
        values, keys = (
            tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
            for tensor, dim in zip((values, keys), in_dims, strict=False)
        )
        dropped: tuple[Tensor, Tensor] = _Dropout.apply(values, keys, call, p)  # type: ignore[no-untyped-call]
        return dropped, (0, 0)


def _kept(values: Tensor, keep: Tensor, p: float) -> Tensor:
    return torch.where(keep, values, 0.0).mul_(1.0 / (1.0 - p) if p < 1.0 else 0.0)


def example_keys(seeds: Tensor, examples: Tensor) -> Tensor:
    """Keys `(K, B)` of the examples in an update, int64, from the runs' seeds `(K,)` and the examples' indices."""
    return _numbers(seeds[:, None], examples)


@torch.no_grad()
def keep_mask(keys: Tensor, shape: Sequence[int], p: float) -> Tensor:
    """Which elements dropout keeps: bool, `(*keys.shape, *shape)`, each True with probability `1 - p`.

    A smaller `shape` gives the corner of the larger mask. `p` is rounded to a multiple of 2**-32.

    Args:
        keys: int64, any shape; equal keys give equal masks.
        shape: one dimension or more.
        p: probability of dropping an element, in [0, 1].
    """
    *outer, width = shape
    for size in outer:
        keys = _numbers(keys[..., None], torch.arange(size, device=keys.device))
    rows, columns = keys.reshape(-1, 1), torch.arange((width + 1) // 2, device=keys.device)
    keep = torch.empty((len(rows), 2 * len(columns)), dtype=torch.bool, device=keys.device)
    threshold = min(round(p * 2**32), 2**32 - 1) - 2**31
    numbers_at_once = _NUMBERS_AT_ONCE_CPU if keys.device.type == "cpu" else _NUMBERS_AT_ONCE_GPU
    at_once = max(1, numbers_at_once // max(1, len(columns)))
    for part, kept in zip(torch.split(rows, at_once), torch.split(keep, at_once), strict=True):
        halves = _numbers(part, columns).view(torch.int32)  # the lower 32 bits of a number come first
        torch.ge(halves, threshold, out=kept)
    return keep[:, :width].view(*keys.shape, width)


def _numbers(keys: Tensor, places: Tensor | int) -> Tensor:
    """The numbers at these places, from 0, of SplitMix64 generators that start at `keys`. Sums are modulo 2**64."""
    steps = (places + 1) * _INCREMENT
    if isinstance(steps, int):
        steps = (steps + 2**63) % 2**64 - 2**63
    return _mixed(keys + steps)


def _mixed(numbers: Tensor) -> Tensor:
    """The output function of SplitMix64, in place."""
    shifted = torch.empty_like(numbers)
    for bits, factor in ((30, _FIRST_FACTOR), (27, _SECOND_FACTOR), (31, 1)):
        torch.bitwise_right_shift(numbers, bits, out=shifted)
        numbers.bitwise_xor_(shifted.bitwise_and_(2 ** (64 - bits) - 1))  # torch's shift copies the sign
        if factor != 1:
            numbers.mul_(factor)
    return numbers
