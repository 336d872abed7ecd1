"""A topic of Kafka, followed: its messages are counted once, and written normalised to another one at least once.

The journey of a message: `Reader.take` gives those that came, `Format.decode` makes tables of them, `Following.add`
counts them, `Writer.write` sends the results, and `settle` waits for these, tells the group, and saves the state.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from streamnorm.errors import DataError, InfiniteValueError, amount
from streamnorm.states import Following, following
from streamnorm.streams.address import Address
from streamnorm.streams.kafka import LostError, Reader, Writer
from streamnorm.streams.messages import Decoded, Format
from streamnorm.tables import Table

__all__ = ["Topic"]

_LOG = logging.getLogger("streamnorm")

#: Reasons for passing a message over, as they stand in states.
TOMBSTONE, BAD, DELETED = "tombstone", "unreadable message", "deleted offset"


class Topic:
    """A topic that is followed.

    Parameters
    ----------
    address : Address
    messages : Format
        How its messages are written.
    settings : mapping of str to str
        Of librdkafka.
    output : Address, optional
        Where normalised messages go.
    skip : bool
        Whether messages that cannot be read are passed over, rather than an error.
    every : float
        Seconds between saves.
    once : bool
        Whether to end when all that was there at the start is counted.
    stop : callable
        Tells, about twice a second, whether to end.
    """

    def __init__(
        self,
        address: Address,
        messages: Format,
        settings: Mapping[str, str],
        *,
        output: Address | None = None,
        skip: bool = False,
        every: float = 10.0,
        once: bool = False,
        stop: Callable[[], object] = bool,
    ) -> None:
        if output and (output.brokers, output.topic) == (address.brokers, address.topic):
            raise DataError(f"{output} is the input, whose messages would be read again: choose another topic.")
        self._address, self._messages, self._settings = address, messages, settings
        self._output, self._skip, self._every, self._once, self._stop = output, skip, every, once, stop
        self.tally: Counter[str] = Counter()

    def follow(self, path: str | Path, normalizer: Any) -> Any:
        """Follow it until it is to end; gives the normalizer as it is then.

        Parameters
        ----------
        path : str or Path
            The state file.
        normalizer : Table or None
            What a new state begins with.
        """
        while True:
            try:
                with following(path, normalizer) as state:
                    self._run(state)
                    return state.normalizer
            except LostError:
                _LOG.info("%s: the group took the partitions away; going on from what was saved", self._address)

    def _run(self, state: Following) -> None:
        with Reader(self._address, self._settings, state) as reader:
            writer = Writer(self._output, self._settings, reader.partitions) if self._output else None

            def settle(every: float = 0.0) -> None:
                """Save when it is time, results first: what is delivered again is then written again."""
                if state.is_due(every):
                    if writer:
                        writer.flush()
                    if reader.agreed():
                        state.save()

            reader.before_revoked = settle
            while not (self._stop() or (self._once and reader.ended)):
                for partition, found in reader.take().items():
                    self._count(state, reader, partition, found, writer)
                settle(self._every)
            settle()
            if state.is_due():
                raise LostError

    def _count(
        self, state: Following, reader: Reader, partition: int, found: Sequence[Any], writer: Writer | None
    ) -> None:
        """Count the messages of one partition.

        Parameters
        ----------
        state : Following
        reader : Reader
        partition : int
        found : sequence of message
            In the order of their offsets.
        writer : Writer or None
            Where results go.
        """
        name = reader.name(partition)
        for start, end in state.uncounted(name, reader.next[partition], found[-1].offset() + 1):
            some = [message for message in found if start <= message.offset() < end]
            apart = Counter({DELETED: reader.deleted(partition, start, end)})
            apart[TOMBSTONE] = sum(message.value() is None for message in some)
            full = [message for message in some if message.value() is not None]
            decoded = self._messages.decode([message.value() for message in full])
            apart[BAD] = len(decoded.bad)
            self._tell_of_bad(name, full, decoded)
            with _naming(name, full, decoded):
                state.add(decoded.tables or None, {name: (start, end)}, apart={name: +apart}, gaps=reader.shares)
            if writer:
                self._write(state, some, decoded, writer)
            self.tally += Counter(message=len(some)) + apart
        reader.next[partition] = max(reader.next[partition], found[-1].offset() + 1)

    def _tell_of_bad(self, name: str, full: Sequence[Any], decoded: Decoded) -> None:
        """Raise DataError for a message that cannot be read, or say which were passed over.

        Parameters
        ----------
        name : str
            Of the partition.
        full : sequence of message
        decoded : Decoded
        """
        if not decoded.bad:
            return
        place, reason = next(iter(sorted(decoded.bad.items())))
        which = f"{name}, offset {full[place].offset()}: the message {reason}"
        if not self._skip:
            raise DataError(f"{which}; mend what sends such, or pass them over (bad='skip', --bad skip).")
        more = f" (so it is with {amount(len(decoded.bad), 'message')})" if len(decoded.bad) > 1 else ""
        _LOG.info("%s; it is passed over%s", which, more)

    def _write(self, state: Following, some: Sequence[Any], decoded: Decoded, writer: Writer) -> None:
        """Send what becomes of messages; tombstones as they are.

        Parameters
        ----------
        state : Following
        some : sequence of message
        decoded : Decoded
            Those that are no tombstones.
        writer : Writer
        """
        mapped = [state.transform(table) for table in decoded.tables]
        results = _results(state.normalizer) if mapped else set()
        values = self._messages.encode(decoded, mapped, results)
        place = 0
        for message in some:
            if message.value() is None:
                writer.write(message, None)
                continue
            if place in decoded.rows:
                writer.write(message, next(values))
            place += 1


def _results(normalizer: Any) -> set[str]:
    """Name the columns that a normalizer makes; a scaler of scikit-learn's kind makes all there are."""
    names = normalizer.inputs(False).values() if isinstance(normalizer, Table) else normalizer.get_feature_names_out()
    return set(names)


@contextmanager
def _naming(name: str, full: Sequence[Any], decoded: Decoded) -> Iterator[None]:
    """Say of what cannot be learnt from which message it is, or which they are.

    Parameters
    ----------
    name : str
        Of the partition.
    full : sequence of message
    decoded : Decoded
    """
    try:
        yield
    except InfiniteValueError as error:
        ends = accumulate(decoded.rows.values())
        place = next(place for place, end in zip(decoded.rows, ends, strict=True) if error.row < end)
        raise DataError(
            f"{name}, offset {full[place].offset()}: column {error.name!r} is infinite; begin the state with such "
            "values skipped (infinite='skip', --infinite skip), or mend what sends them."
        ) from None
    except DataError as error:
        raise DataError(f"{name}, offsets {full[0].offset()} to {full[-1].offset()}: {error}") from error
