"""Summaries of many slots as arrays in as few bytes as their numbers need: in base64 for text, or as they are.

A slot takes some tens of bytes where an object of texts takes some hundreds, and nothing is parsed number
by number. Equal summaries are equal text. What is read is checked before it is believed.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.summaries._base import Counts, Summary
from streamnorm.summaries.bins import ALL_BITS, Bins, checked_max_bins, images_are_finite
from streamnorm.summaries.decayed import WideExact
from streamnorm.summaries.exact import Exact
from streamnorm.summaries.extremes import Bound, Extremes
from streamnorm.summaries.histogram import Histogram
from streamnorm.summaries.moments import Moments
from streamnorm.summaries.products import CrossProducts, Pairs
from streamnorm.summaries.profile import Profiled

__all__ = ["pack", "pack_bytes", "unpack"]

Packed = Mapping[str, Any]
S = TypeVar("S", bound=Summary)
_FURTHEST = 8192  # bits from the binary point: beyond what sums of float64 reach


def pack(summary: Summary) -> dict[str, Any]:
    """Write a summary as an object of texts and integers."""
    packed: dict[str, Any] = _as_text(_packed(summary, _pack_bins))
    return packed


def pack_bytes(summary: Summary) -> dict[str, Any]:
    """Write a summary as an object of bytes and integers, whose bins take few bytes when they are compressed."""
    return _packed(summary, _pack_steps)


def _as_text(packed: Any) -> Any:
    if isinstance(packed, dict):
        return {name: _as_text(value) for name, value in packed.items()}
    return base64.b64encode(packed).decode("ascii") if isinstance(packed, bytes) else packed


def _packed(summary: Summary, pack_bins: Callable[[Bins], dict[str, Any]]) -> dict[str, Any]:
    """Write a summary, and its bins as `pack_bins` does."""
    if isinstance(summary, Profiled):
        beside = {name: _without_counts(_packed(own, pack_bins)) for name, own in summary.beside.items()}
        return {**_packed(summary.needed, pack_bins), "profile": beside}
    fields = {f.name: getattr(summary, f.name) for f in dataclasses.fields(summary)}
    if isinstance(summary, Moments) and summary.weight == Exact.of_counts(summary.counts.values):
        fields.pop("weight")  # rows without weights: it is their number
    return {
        name: pack_bins(value) if isinstance(value, Bins) else _PACK[type(value)](value)
        for name, value in fields.items()
    }


def _without_counts(packed: Packed) -> dict[str, Any]:
    return {name: value for name, value in packed.items() if name != "counts"}


def unpack(like: S, packed: Packed) -> S:
    """Read what `pack` or `pack_bytes` gave of a summary.

    Parameters
    ----------
    like : Summary
        Of no rows, with as many slots and of the kind that is expected.
    packed : mapping

    Raises
    ------
    ValueError, KeyError
        If it is something else.
    """
    if isinstance(like, Profiled):
        return cast(S, _unpack_profile(like, packed))
    kind, slots, types = type(like), len(like), like.field_types()
    if set(packed) - set(types):
        raise ValueError(f"a {kind.__name__} has no {min(set(packed) - set(types))!r}")
    counts = _counts(slots, packed["counts"])
    given = {name: _UNPACK[types[name]](slots, packed[name]) for name in packed if name != "counts"}
    if issubclass(kind, Moments):
        given.setdefault("weight", Exact.of_counts(counts.values))
    summary = kind(counts, **given)
    _check(summary)
    return summary + like  # another max_bins cannot be added


def _unpack_profile(like: Profiled, packed: Packed) -> Profiled:
    own = dict(packed)
    profile = own.pop("profile")
    if profile.keys() != like.beside.keys():
        raise ValueError(f"a profile does not consist of {', '.join(like.beside)}")
    needed = unpack(like.needed, own)
    beside = {
        name: unpack(nothing, {**profile[name], "counts": own["counts"]}) for name, nothing in like.beside.items()
    }
    return Profiled.of_parts(needed, beside)


def _check(summary: Summary) -> None:
    values = summary.counts.values
    if isinstance(summary, Histogram):
        ends = np.concatenate([[0], np.cumsum(summary.bins.counts)])
        last = np.cumsum(summary.bins.sizes)
        totals = ends[last] - ends[last - summary.bins.sizes]
        if (totals < values).any() or ((totals > 0) != (values > 0)).any():
            raise ValueError("a histogram has other numbers of values than its bins")
    if isinstance(summary, Extremes):
        low, high = summary.least.array, summary.greatest.array
        if not (np.isfinite(low) == (values > 0)).all() or not (np.isfinite(high) == (values > 0)).all():
            raise ValueError("a bound is not finite where there are values, or finite where there are none")
        if (low[values > 0] > high[values > 0]).any():
            raise ValueError("a least value is above the greatest")
    if isinstance(summary, (CrossProducts, Moments)) and not summary.is_possible():
        raise ValueError("these sums are those of no rows")


# ---- arrays ----


def _bytes(data: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(data).tobytes()


def _data(text: str | bytes, size: int) -> bytes:
    """Decode so many bytes."""
    if isinstance(text, bytes):
        if len(text) != size:
            raise ValueError(f"expected {size} bytes, found {len(text)}")
        return text
    if not isinstance(text, str) or len(text) != (size + 2) // 3 * 4:
        raise ValueError(f"expected {size} bytes in base64")
    data = base64.b64decode(text, validate=True)
    if len(data) != size:
        raise ValueError(f"expected {size} bytes in base64, found {len(data)}")
    return data


def _integers(values: NDArray[np.int64]) -> dict[str, Any]:
    """Write non-negative integers in 0, 1, 2, 4 or 8 bytes each."""
    most = int(values.max(initial=0))
    width = next(width for width in (0, 1, 2, 4, 8) if most < 1 << 8 * width)
    return {"width": width, "data": _bytes(values.astype(f"<u{width}")) if width else b""}


def _read_integers(count: int, packed: Packed) -> NDArray[np.int64]:
    width = packed["width"]
    if type(width) is not int or width not in (0, 1, 2, 4, 8):
        raise ValueError(f"integers are not of {width!r} bytes")
    data = _data(packed["data"], count * width)
    values = np.frombuffer(data, f"<u{width}").astype(np.int64) if width else np.zeros(count, np.int64)
    if (values < 0).any():
        raise ValueError("a count is no integer of 63 bits")
    return values


# ---- fields ----


def _pack_counts(counts: Counts) -> dict[str, Any]:
    columns = zip(kernel.COUNTS, counts.stored.T, strict=True)
    return {name: _integers(column) for name, column in columns if column.any()}


def _counts(slots: int, packed: Packed) -> Counts:
    if set(packed) - set(kernel.COUNTS):
        raise ValueError("a count is of no known kind")
    columns = [_read_integers(slots, packed.get(name, {"width": 0, "data": ""})) for name in kernel.COUNTS]
    return Counts.of_table(np.ascontiguousarray(np.stack(columns, axis=1)))


def _pack_exact(numbers: Exact) -> dict[str, Any]:
    """Write the bytes that differ from zeros below and the sign above, as many for each slot."""
    table = np.ascontiguousarray(numbers.table.astype("<u8")).view(np.uint8).reshape(len(numbers), 8 * numbers.width)
    low, high = 0, table.shape[1]
    while low < high and not table[:, low].any():
        low += 1
    while high - low > 1 and (table[:, high - 1] == _signs(table[:, high - 2])).all():
        high -= 1
    return {"exponent": numbers.exponent + 8 * low, "width": high - low, "data": _bytes(table[:, low:high])}


def _signs(highest: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(highest >= 128, 255, 0).astype(np.uint8)


def _exact(slots: int, packed: Packed, check: Callable[[int, int], None] | None = None) -> Exact:
    """Read exact numbers.

    Parameters
    ----------
    slots : int
    packed : mapping
    check : callable, optional
        Raises ValueError for a width and an exponent, in bits, that there are not.
    """
    width, exponent = packed["width"], packed["exponent"]
    if type(width) is not int or type(exponent) is not int or width < 0:
        raise ValueError("an exact number is out of range")
    (check or _check_reach)(8 * width, exponent)
    data = np.frombuffer(_data(packed["data"], slots * width), np.uint8).reshape(slots, width)
    if exponent % 8 or not width:
        if exponent or width:
            raise ValueError(f"the exponent {exponent} is no multiple of 8")
        return Exact.empty(slots)
    below = exponent // 8 % 8
    table = np.empty((slots, (below + width + 7) // 8 * 8), np.uint8)
    table[:, :below] = 0
    table[:, below : below + width] = data
    table[:, below + width :] = _signs(data[:, -1])[:, None]
    numbers = Exact.of_table(table.view("<u8").astype(np.uint64), exponent - 8 * below)
    return numbers + Exact.empty(slots)  # as narrow as it can be


def _pack_pairs(pairs: Pairs) -> dict[str, Any]:
    return _pack_exact(pairs.sums)


def _pairs(slots: int, packed: Packed) -> Pairs:
    return Pairs(slots, _exact((slots + 1) * (slots + 2) // 2, packed))


def _check_reach(bits: int, exponent: int) -> None:
    if abs(exponent) + bits > _FURTHEST:
        raise ValueError("an exact number is out of range")


def _wide_exact(slots: int, packed: Packed) -> Exact:
    return _exact(slots, packed, WideExact.check)


def _pack_bound(bound: Bound) -> bytes:
    return _bytes(bound.array.astype("<f8"))


def _bound(kind: type[Bound], slots: int, packed: str | bytes) -> Bound:
    """Read least or greatest values.

    Parameters
    ----------
    kind : type of Bound
    slots : int
    packed : str or bytes
    """
    array = np.frombuffer(_data(packed, 8 * slots), "<f8").astype(np.float64)
    if np.isnan(array).any():
        raise ValueError("a bound is NaN")
    return kind(array)


def _pack_bins(bins: Bins) -> dict[str, Any]:
    return {
        "max_bins": bins.max_bins,
        "bits": _integers(bins.bits),
        "sizes": _integers(bins.sizes),
        "keys": _bytes(bins.keys.astype("<u8")),
        "counts": _integers(bins.counts),
    }


def _pack_steps(bins: Bins) -> dict[str, Any]:
    """Write bins with the steps from each to the next in units of their bits: all first bytes, then all second ones."""
    slot = np.repeat(np.arange(len(bins)), bins.sizes)
    leading = bins.keys >> (ALL_BITS - bins.bits[slot]).astype(np.uint64)
    steps = np.diff(leading, prepend=np.uint64(0))
    starts = (np.cumsum(bins.sizes) - bins.sizes)[bins.sizes > 0]
    steps[starts] = leading[starts]
    return {
        "max_bins": bins.max_bins,
        "bits": _integers(bins.bits),
        "sizes": _integers(bins.sizes),
        "steps": _bytes(steps.astype("<u8").view(np.uint8).reshape(-1, 8).T),
        "counts": _integers(bins.counts),
    }


def _keys(bits: NDArray[np.int64], sizes: NDArray[np.int64], packed: Packed) -> NDArray[np.uint64]:
    """Read the keys of bins, as `_pack_bins` or `_pack_steps` wrote them.

    Parameters
    ----------
    bits, sizes : ndarray of shape (n_slots,)
    packed : mapping
    """
    count = int(sizes.sum())
    if "steps" not in packed:
        return np.frombuffer(_data(packed["keys"], 8 * count), "<u8").astype(np.uint64)
    planes = np.frombuffer(_data(packed["steps"], 8 * count), np.uint8).reshape(8, count)
    sums = np.cumsum(np.ascontiguousarray(planes.T).view("<u8").reshape(count), dtype=np.uint64)
    before = np.concatenate([np.zeros(1, np.uint64), sums])[np.cumsum(sizes) - sizes]
    keys: NDArray[np.uint64] = (sums - np.repeat(before, sizes)) << np.repeat(
        (ALL_BITS - bits).astype(np.uint64), sizes
    )
    return keys


def _bins(slots: int, packed: Packed) -> Bins:
    most = checked_max_bins(packed["max_bins"])
    bits, sizes = _read_integers(slots, packed["bits"]), _read_integers(slots, packed["sizes"])
    if (sizes > most).any() or not ((bits >= 1) & (bits <= 64)).all() or (bits[sizes == 0] != 64).any():
        raise ValueError("a histogram has too many bins, or bits that it cannot have")
    count = int(sizes.sum())
    keys = _keys(bits, sizes, packed)
    counts = _read_integers(count, packed["counts"])
    slot = np.repeat(np.arange(slots), sizes)
    beside = slot[1:] == slot[:-1]
    dropped = (64 - bits[slot]).astype(np.uint64)
    below = (np.uint64(1) << dropped) - np.uint64(1)
    if (keys[1:] <= keys[:-1])[beside].any() or (keys & below).any() or not images_are_finite(keys, below):
        raise ValueError("the keys of a histogram do not ascend, or are not those of finite numbers")
    if (counts == 0).any() or float(counts.sum(dtype=np.float64)) >= 2.0**63:
        raise ValueError("the counts of a histogram are not positive 64-bit integers")
    return Bins(most, bits, sizes, keys, counts)


_PACK: dict[type, Any] = {Counts: _pack_counts, Exact: _pack_exact, Pairs: _pack_pairs}
_UNPACK: dict[type, Any] = {Exact: _exact, WideExact: _wide_exact, Bins: _bins, Pairs: _pairs}
for _kind in Extremes.field_types().values():
    if issubclass(_kind, Bound):
        _PACK[_kind] = _pack_bound
        _UNPACK[_kind] = lambda slots, packed, kind=_kind: _bound(kind, slots, packed)
