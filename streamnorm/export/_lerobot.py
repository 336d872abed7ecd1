"""To LeRobot: the statistics of a dataset's features, as its ``meta/stats.json`` has them.

The layout is that of LeRobot's datasets of versions 2.1 and 3.0 (huggingface/lerobot 0.4, ``datasets/compute_stats.py``
and ``load_stats``): of each feature ``min``, ``max``, ``mean``, ``std`` (``ddof=0``) and the quantiles ``q01`` to
``q99`` as lists of one number for each element, and ``count`` as a list of one. Version 2.1 has the same of each
episode, a line of JSON each, in ``meta/episodes_stats.jsonl``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError
from streamnorm.files import open_input, place_of
from streamnorm.summaries import Extremes, Histogram, Moments, Profiled, Summary, part
from streamnorm.tables import Group, Keyed, Table

__all__ = ["dump_lerobot", "dump_lerobot_episodes", "to_lerobot", "to_lerobot_episodes"]

#: LeRobot's quantiles, by the names that it gives them.
_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
#: The shape of what LeRobot has of images: one number for each channel.
_CHANNELS = (3, 1, 1)


def to_lerobot(normalizer: Any, *, base: Any = None) -> dict[str, Any]:
    """Give the statistics of all rows as LeRobot's ``meta/stats.json``.

    Parameters
    ----------
    normalizer : TableNormalizer
        Fitted with a profile. With ``"minmax"`` or ``"maxabs"`` as its scaler least and greatest values are exact,
        else they are once a column has more distinct values than a histogram has bins (4096) the ends of the outermost.
    base : str, Path or mapping, optional
        A ``stats.json``, or what is in one, from which all other features are taken: images, for instance.

    Returns
    -------
    dict of str to dict
        Of each feature ``min``, ``max``, ``mean``, ``std``, ``q01``, ``q10``, ``q50``, ``q90`` and ``q99``, lists in
        the shape of a row, and ``count``, a list of the number of rows with a value. Of a feature whose name has
        "image" in it the three channels' are of shape (3, 1, 1).

    Raises
    ------
    DataError
        If a statistic was not learnt, or not of the values as they are; or `base` is of another dataset.

    Examples
    --------
    >>> import pyarrow as pa, streamnorm as sn
    >>> action = pa.array([[0.0, 1.0], [2.0, 5.0]], pa.list_(pa.float32(), 2))
    >>> fitted = sn.TableNormalizer("minmax", profile=True).fit(pa.table({"action": action}))
    >>> stats = sn.export.to_lerobot(fitted)
    >>> stats["action"]["mean"], stats["action"]["std"], stats["action"]["count"]
    ([1.0, 3.0], [1.0, 2.0], [2])
    """
    stats = {}
    for feature in _features(normalizer):
        found = feature.statistics(feature.group.summary.overall.take(feature.slots), "")
        stats[feature.name] = feature.entry(found)
    return stats if base is None else _onto(_table(_read(base, json.loads), base), stats, base)


def to_lerobot_episodes(normalizer: Any, *, base: Any = None) -> list[dict[str, Any]]:
    """Give the statistics of each episode as LeRobot's ``meta/episodes_stats.jsonl``.

    Parameters
    ----------
    normalizer : TableNormalizer
        Fitted with a profile and ``by="episode_index"``.
    base : str, Path or sequence of mapping, optional
        An ``episodes_stats.jsonl``, or the lines of one, from which all other features of these episodes are taken.

    Returns
    -------
    list of dict
        One an episode, in their order: its ``episode_index``, and as ``stats`` what `to_lerobot` gives.

    Raises
    ------
    DataError
        As `to_lerobot`; and if the keys are no whole numbers in one column.

    Examples
    --------
    >>> import pyarrow as pa, streamnorm as sn
    >>> table = pa.table({"episode_index": [0, 0, 1], "x": [1.0, 3.0, 7.0]})
    >>> fitted = sn.TableNormalizer(by="episode_index", profile=True).fit(table)
    >>> [(line["episode_index"], line["stats"]["x"]["mean"]) for line in sn.export.to_lerobot_episodes(fitted)]
    [(0, [2.0]), (1, [7.0])]
    """
    features = list(_features(normalizer))
    keyed = normalizer.learnt.keyed
    if keyed is None or keyed.keys.kinds != ["integer"] or keyed.keys.columns[0].null_count:
        raise DataError(
            "statistics of episodes need keys that are whole numbers, in one column without nulls: fit with "
            "by='episode_index' (--by episode_index)."
        )
    (episodes,) = keyed.keys.values()
    lines: list[dict[str, Any]] = [{"episode_index": episode, "stats": {}} for episode in episodes]
    for feature in features:
        own = feature.group.summary
        if not isinstance(own, Keyed):
            raise DataError(f"column {feature.name!r} has no statistics by key: fit again.")
        ordered = own.in_order().columns
        columns = [feature.statistics(ordered[slot], " in episode {}", episodes) for slot in feature.slots]
        for at, line in enumerate(lines):
            found = {name: np.array([column[name][at] for column in columns]) for name in columns[0]}
            line["stats"][feature.name] = feature.entry(found)
    if base is None:
        return lines
    known = _by_episode(_read(base, _lines), base)
    return [{**line, "stats": _onto(known.get(line["episode_index"], {}), line["stats"], base)} for line in lines]


@dataclass(frozen=True)
class _Feature:
    """A column, and where its statistics are.

    Parameters
    ----------
    name : str
    group : Group
    slots : list of int
        In the group: one, or one an element.
    shape : tuple of int
        Of what there is of each statistic.
    """

    name: str
    group: Group
    slots: list[int]
    shape: tuple[int, ...]

    def statistics(self, summary: Summary, where: str, of: Sequence[Any] = ()) -> dict[str, NDArray[Any]]:
        """Give each statistic of every slot of a summary, shape (n_slots,).

        Parameters
        ----------
        summary : Summary
        where : str
            What to say of a slot, after the column's name in errors.
        of : sequence
            What the slots are of, for that.

        Raises
        ------
        DataError
            If one was not learnt, or a slot has no value.
        """
        parts = [summary.needed, *summary.beside.values()] if isinstance(summary, Profiled) else [summary]
        moments = next((own for own in parts if type(own) is Moments), None)  # not of rows that weigh by their time
        histogram = part(summary, Histogram)
        lacking = [word for word, there in (("mean and deviation", moments), ("quantiles", histogram)) if there is None]
        if moments is None or histogram is None:
            raise DataError(
                f"the state has no {' and no '.join(lacking)} of column {self.name!r}: fit it with a profile "
                "(profile=True, --profile)."
            )
        values = summary.counts.values
        if not values.all():
            at = int(np.argmin(values > 0))
            words = where.format(of[at]) if of else f", element {at}" if len(self.slots) > 1 else ""
            raise DataError(f"column {self.name!r}{words} has no value, and so no statistics: leave it out (exclude).")
        extremes = part(summary, Extremes)
        least, greatest = histogram.bounds() if extremes is None else (extremes.minimum, extremes.maximum)
        quantiles = dict(zip(_QUANTILES, histogram.quantile(list(_QUANTILES.values())), strict=True))
        return {
            "min": least, "max": greatest, "mean": moments.mean(), "std": moments.std(), "count": values, **quantiles,
        }  # fmt: skip

    def entry(self, statistics: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Give statistics of the feature's elements as LeRobot writes them."""
        return {
            name: [int(values.max())] if name == "count" else values.reshape(self.shape).tolist()
            for name, values in statistics.items()
        }


def _features(normalizer: Any) -> Iterator[_Feature]:
    """Yield the columns of a fitted table; raises DataError where one is not what LeRobot has statistics of."""
    if not isinstance(normalizer, Table):
        raise DataError(
            f"LeRobot has statistics of named features, not of a {type(normalizer).__name__}: fit a "
            "TableNormalizer(profile=True)."
        )
    for name, (group, slot) in normalizer.learnt.columns().items():
        changed = [step for step in ("clip", "log1p") if step in group.rule.steps.to_json()]
        if changed:
            raise DataError(
                f"column {name!r} was learnt after {changed[0]}, and not as LeRobot reads it: leave that out, or the "
                "column (exclude)."
            )
        if group.vector is not None and group.vector.whole:
            raise DataError(
                f"column {name!r} has one mean for all its elements, where LeRobot has one for each: fit it by element "
                "(vectors='element')."
            )
        slots = [slot] if group.vector is None else list(range(group.vector.slots))
        yield _Feature(name, group, slots, _shape(name, normalizer.learnt.types[name], len(slots)))


def _shape(name: str, kind: str, width: int) -> tuple[int, ...]:
    """Find the shape of a feature's statistics.

    Parameters
    ----------
    name : str
        Of the column.
    kind : str
        Its Arrow type.
    width : int
        Its elements.
    """
    if "image" in name:
        if width != _CHANNELS[0]:
            raise DataError(
                f"column {name!r} has {width} elements, where LeRobot has three of images, one for each channel: leave "
                "it out (exclude)."
            )
        return _CHANNELS
    numbers = {word: [*map(int, found.split(","))] for word, found in re.findall(r"(\w+)=\[([\d,]+)\]", kind)}
    shape = numbers.get("shape", []) if "fixed_shape_tensor[" in kind else []
    if shape and numbers.get("permutation", [*range(len(shape))]) == [*range(len(shape))]:
        return tuple(shape)
    if kind.startswith("extension"):
        raise DataError(f"column {name!r} holds {kind}, whose shape is not told: leave it out (exclude).")
    return (width,)


def _read(base: Any, parse: Callable[[bytes], Any]) -> Any:
    """Read a file of statistics, where `base` is not what is in one; raises DataError where that is none."""
    if not isinstance(base, (str, Path)):
        return base
    try:
        with open_input(place_of(base)) as file:
            return parse(file.read())  # with NaN and Infinity, as Python writes them
    except (OSError, ValueError) as error:
        raise DataError(f"{base} cannot be read as LeRobot's statistics: {error}; name a file of its meta.") from None


def _lines(text: bytes) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _table(found: Any, base: Any) -> dict[str, Any]:
    """Give statistics by feature; raises DataError where something else was found."""
    if not isinstance(found, Mapping) or not all(isinstance(entry, Mapping) for entry in found.values()):
        raise DataError(f"{_named(base)} is no table of features' statistics: name a file of LeRobot's meta.")
    return dict(found)


def _by_episode(lines: Any, base: Any) -> dict[Any, dict[str, Any]]:
    """Give statistics by feature by episode; raises DataError where something else was found."""
    if not isinstance(lines, (list, tuple)) or not all(
        isinstance(line, Mapping) and {"episode_index", "stats"} <= line.keys() for line in lines
    ):
        raise DataError(f"{_named(base)} has no line for each episode: name an episodes_stats.jsonl of LeRobot's meta.")
    return {line["episode_index"]: _table(line["stats"], base) for line in lines}


def _named(base: Any) -> str:
    return str(base) if isinstance(base, (str, Path)) else "the base"


def _onto(known: dict[str, Any], stats: Mapping[str, Any], base: Any) -> dict[str, Any]:
    """Replace the statistics of features that are known, and add those of others.

    Parameters
    ----------
    known : dict of str to dict
    stats : mapping of str to dict
    base : object
        Where they are known from, for errors.
    """
    for name, entry in stats.items():
        before, now = _shape_of(known.get(name, {}).get("mean", entry["mean"])), _shape_of(entry["mean"])
        if before != now:
            raise DataError(
                f"feature {name!r} is of shape {before} in {_named(base)} and {now} here: name the statistics of the "
                "same dataset."
            )
    return {**known, **stats}


def _shape_of(numbers: Any) -> tuple[int, ...]:
    """Give the lengths of lists in lists, by the first of each."""
    shape = []
    while isinstance(numbers, list):
        shape.append(len(numbers))
        numbers = numbers[0] if numbers else None
    return tuple(shape)


def dump_lerobot(stats: Mapping[str, Any]) -> bytes:
    """Give what `to_lerobot` gave as the content of a file, as LeRobot writes it."""
    return json.dumps(stats, indent=4, ensure_ascii=False).encode()


def dump_lerobot_episodes(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """Give what `to_lerobot_episodes` gave as the content of a file, a line an episode."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
