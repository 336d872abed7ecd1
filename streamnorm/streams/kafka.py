"""What is asked of librdkafka: messages of a topic from given offsets on, and messages sent.

Nothing here knows what a message holds. Imported when a topic is named.
"""

from __future__ import annotations

import importlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from streamnorm.errors import OutputError, SourceError
from streamnorm.states import Following
from streamnorm.streams.address import Address

__all__ = ["LostError", "Reader", "Writer"]

_LOG = logging.getLogger("streamnorm")

#: Seconds that a broker may take to answer.
_PATIENCE = 30.0
#: Largest number of messages, of their bytes, and of seconds waited for them, that are counted at once.
_MESSAGES, _BYTES, _SECONDS = 20_000, 8 << 20, 0.5
#: Seconds between looks for new partitions.
_LOOK = 30.0
_FURTHEST = 1 << 62


class LostError(Exception):
    """The group took partitions away without asking, and another member may be counting what was not saved."""


def _kafka() -> Any:
    try:
        return importlib.import_module("confluent_kafka")
    except ModuleNotFoundError:
        raise ModuleNotFoundError("topics need confluent-kafka: pip install 'streamnorm[kafka]'.") from None


class Reader:
    """Messages of a topic, from where a state goes on.

    Without a group all partitions are read, those that are added later too, and offsets are the state's alone. In a
    group each member reads the partitions that it is given, from where the group is; the group is told of what is
    to be saved, before partitions are given to another member too.

    Parameters
    ----------
    address : Address
    settings : mapping of str to str
        Of librdkafka.
    state : Following

    Attributes
    ----------
    next : dict of int to int
        The next offset to be counted, by partition.
    partitions : int
        How many the topic has.
    before_revoked : callable
        Called before partitions are given away: to save.
    """

    def __init__(self, address: Address, settings: Mapping[str, str], state: Following) -> None:
        self._kafka = _kafka()
        self._address, self._state = address, state
        self.next: dict[int, int] = {}
        self.before_revoked: Callable[[], object] = lambda: None
        self._deleted: dict[tuple[int, int], int] = {}
        self._at_end: set[int] = set()
        self._lost = self._closing = False
        self._looked = time.monotonic()
        self._told: dict[int, int] = {}
        self.partitions = 0
        try:
            self._consumer = self._kafka.Consumer(
                {
                    "queued.max.messages.kbytes": 16384,
                    "log_level": 0,
                    **settings,
                    "bootstrap.servers": address.brokers,
                    "group.id": address.group or "streamnorm",
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",
                    "enable.partition.eof": True,
                    "isolation.level": "read_committed",
                }
            )
        except self._kafka.KafkaException as error:
            raise SourceError(f"{address} cannot be read: {_words(error)}; see to the settings.") from None

    def __enter__(self) -> Self:
        try:
            partitions = self._partitions()
            self.partitions = len(partitions)
            if self.shares:
                self._consumer.subscribe(
                    [self._address.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._were_lost
                )
            else:
                self._consumer.assign(self._begin(partitions))
        except BaseException:
            self._consumer.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._closing = True
        self._consumer.close()

    @property
    def shares(self) -> bool:
        """Whether partitions are shared with others."""
        return self._address.group is not None

    @property
    def ended(self) -> bool:
        """Whether all that there was has been read."""
        return bool(self.next) and self._at_end.issuperset(self.next)

    def name(self, partition: int) -> str:
        """Give the name by which states know a partition."""
        return f"{self._address.topic}/{partition}"

    def deleted(self, partition: int, start: int, end: int) -> int:
        """Tell how many offsets of a range were deleted before they could be read.

        Parameters
        ----------
        partition : int
        start, end : int
        """
        return sum(
            max(0, min(low, end) - max(first, start)) for (own, first), low in self._deleted.items() if own == partition
        )

    def take(self) -> dict[int, list[Any]]:
        """Give the messages that have come, by partition and in the order of their offsets; waits for some, not long.

        Raises
        ------
        SourceError
            If the topic is gone or cannot be read.
        LostError
            If the group has taken partitions away.
        """
        found: dict[int, list[Any]] = {}
        number = size = 0
        until = time.monotonic() + _SECONDS
        while number < _MESSAGES and size < _BYTES and (left := until - time.monotonic()) > 0:
            some = self._consume(min(left, 0.1))
            if self._lost:
                raise LostError
            if not some and found:
                break
            for message in some:
                if message.error() is not None:
                    self._tell(message, found)
                elif message.offset() >= self._after(message.partition(), found):
                    found.setdefault(message.partition(), []).append(message)
                    number += 1
                    size += len(message)
        self._look()
        return {partition: own for partition, own in found.items() if partition in self.next}

    def _after(self, partition: int, found: Mapping[int, list[Any]]) -> int:
        """Give the least offset that is new, of a partition that may be read again after it was given away."""
        own = found.get(partition)
        return own[-1].offset() + 1 if own else self.next.get(partition, _FURTHEST)

    def _consume(self, seconds: float) -> list[Any]:
        try:
            some: list[Any] = self._consumer.consume(1000, timeout=seconds)
        except self._kafka.KafkaException as error:
            raise SourceError(
                f"{self._address} cannot be read: {_words(error)}; see to it and run this again."
            ) from None
        return some

    def _tell(self, message: Any, found: Mapping[int, list[Any]]) -> None:
        """Deal with what comes in the place of a message; `found` are those that were taken before."""
        error, known = message.error(), self._kafka.KafkaError
        if error.code() == known._PARTITION_EOF:
            self._at_end.add(message.partition())
        elif error.code() == known._AUTO_OFFSET_RESET:
            if message.partition() in self.next:
                given = self._kafka.TopicPartition(self._address.topic, message.partition())
                self._consumer.incremental_unassign([given])
                again = self._place(given, self._after(message.partition(), found))
                self._consumer.incremental_assign([again])
        elif error.fatal() or error.code() in (
            known.UNKNOWN_TOPIC_OR_PART, known._UNKNOWN_TOPIC, known._UNKNOWN_PARTITION,
            known.TOPIC_AUTHORIZATION_FAILED, known.GROUP_AUTHORIZATION_FAILED,
        ):  # fmt: skip
            raise SourceError(f"{self._address} cannot be read: {error.str()}; see to it and run this again.")
        else:
            _LOG.info("%s: %s; trying again", self._address, error.str())

    def agreed(self) -> bool:
        """Tell the group what is about to be saved; gives False where it does not take that now.

        It is told before: a member that is killed in between leaves a hole, which it fills when the partition is its
        own again, or who follows the merged states does. Told after, both it and the next member would have counted.
        """
        new = {partition: offset for partition, offset in self.next.items() if offset != self._told.get(partition)}
        if not self.shares or not new:
            return True
        offsets = [
            self._kafka.TopicPartition(
                self._address.topic, partition, offset, metadata=self._signed(self._told.get(partition, offset))
            )
            for partition, offset in new.items()
        ]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except self._kafka.KafkaException as error:
            _LOG.info("%s: the group cannot be told how far it is: %s; trying again", self._address, _words(error))
            return False
        self._told |= new
        return True

    def _signed(self, start: int) -> str:
        """Say who tells the group an offset, and from where on it is counted by that."""
        return json.dumps({"state": self._state.name, "from": start})

    # ---- where to begin ----

    def _partitions(self) -> list[int]:
        try:
            found = self._consumer.list_topics(self._address.topic, timeout=_PATIENCE).topics[self._address.topic]
        except self._kafka.KafkaException as error:
            raise SourceError(
                f"the brokers of {self._address} do not answer: {_words(error)}; check the address and the settings."
            ) from None
        if found.error is not None:
            raise SourceError(f"{self._address} cannot be read: {found.error.str()}; check the topic's name.")
        return sorted(found.partitions)

    def _begin(self, partitions: Iterable[int]) -> list[Any]:
        """Give places to begin at, and remember them."""
        given = [self._kafka.TopicPartition(self._address.topic, partition) for partition in partitions]
        try:
            if self.shares:
                given = self._consumer.committed(given, timeout=_PATIENCE)
            return [self._begin_one(one) for one in given]
        except self._kafka.KafkaException as error:
            raise SourceError(
                f"{self._address} cannot be read: {_words(error)}; see to it and run this again."
            ) from None

    def _begin_one(self, given: Any) -> Any:
        name = self.name(given.partition)
        known = self._state.position(name, -1)
        if self.shares and given.offset >= 0:  # what another member has counted is its business
            start = min(given.offset, _own_start(given.metadata, self._state.name, given.offset))
            (known, _), *_ = self._state.uncounted(name, start, _FURTHEST)
        place = self._place(given, known)
        self.next[given.partition] = known if known >= 0 else place.offset
        return place

    def _place(self, given: Any, known: int) -> Any:
        """Give where to read on, which is behind what was deleted.

        Parameters
        ----------
        given : TopicPartition
        known : int
            The next offset to be counted; below 0 where none was.

        Raises
        ------
        SourceError
            If the partition ends before that.
        """
        name, partition = self.name(given.partition), given.partition
        low, high = self._consumer.get_watermark_offsets(given, timeout=_PATIENCE)
        if known > high:
            raise SourceError(
                f"{name} ends at offset {high}, and was counted up to {known}: the topic was made anew or cut short; "
                "begin another state."
            )
        if 0 <= known < low:
            self._deleted[partition, known] = low
            _LOG.warning("%s: offsets %s to %s were deleted before they were counted", name, known, low - 1)
        self._at_end.discard(partition)
        return self._kafka.TopicPartition(self._address.topic, partition, max(known, low))

    def _look(self) -> None:
        """Read new partitions too."""
        if self.shares or time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        new = [partition for partition in self._partitions() if partition not in self.next]
        if new:
            self._consumer.incremental_assign(self._begin(new))

    # ---- the group ----

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        consumer.assign(self._begin(one.partition for one in partitions))
        self._told = dict(self.next)

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        if not self._closing:
            self.before_revoked()
            self._lost = self._state.is_due()  # it could not be saved: the next member counts it
        self.next.clear()
        self._told.clear()

    def _were_lost(self, consumer: Any, partitions: list[Any]) -> None:
        self._lost = not self._closing


def _own_start(metadata: str | None, state: str, offset: int) -> int:
    """Give from where on a state may not have what it told the group: it may have been killed before it saved that.

    Parameters
    ----------
    metadata : str or None
        What was told with the offset.
    state : str
        The name of the state.
    offset : int
        What it is where another state has told that, or another program.
    """
    try:
        told = json.loads(metadata or "{}")
        return int(told["from"]) if told["state"] == state else offset
    except (ValueError, KeyError, TypeError):
        return offset


class Writer:
    """Messages sent to a topic.

    Parameters
    ----------
    address : Address
    settings : mapping of str to str
        Of librdkafka.
    partitions : int
        How many the topic has that is read. Each message stays in its partition where there are as many, and goes by
        its key else.
    """

    def __init__(self, address: Address, settings: Mapping[str, str], partitions: int) -> None:
        self._kafka, self._address = _kafka(), address
        self._failed: str | None = None
        given = {"linger.ms": 20, "enable.idempotence": True, "log_level": 0, **settings}
        try:
            self._producer = self._kafka.Producer({**given, "bootstrap.servers": address.brokers})
        except self._kafka.KafkaException as error:
            raise OutputError(f"{address} cannot be written to: {_words(error)}; see to the settings.") from None
        try:
            found = self._producer.list_topics(address.topic, timeout=_PATIENCE).topics[address.topic]
        except self._kafka.KafkaException as error:
            raise OutputError(
                f"the brokers of {address} do not answer: {_words(error)}; check the address and the settings."
            ) from None
        self._stay = len(found.partitions) >= partitions

    def write(self, message: Any, value: bytes | None) -> None:
        """Send a value with the key, the headers and the time of the message that it was.

        Raises
        ------
        OutputError
            If one before was not delivered.
        """
        self._check()
        kind, stamp = message.timestamp()
        where = {} if kind == self._kafka.TIMESTAMP_NOT_AVAILABLE else {"timestamp": stamp}
        if self._stay:
            where["partition"] = message.partition()
        while True:
            try:
                self._producer.produce(
                    self._address.topic, value, key=message.key(), headers=message.headers() or [],
                    on_delivery=self._delivered, **where,
                )  # fmt: skip
                break
            except BufferError:  # more than librdkafka keeps
                self._producer.poll(0.5)
                self._check()
            except self._kafka.KafkaException as error:
                raise OutputError(f"{self._address} cannot be written to: {_words(error)}; see to it.") from None
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until all is delivered; raises OutputError where something was not."""
        while self._producer.flush(1.0):
            self._check()
        self._check()

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed = self._failed or error.str()

    def _check(self) -> None:
        if self._failed:
            raise OutputError(
                f"{self._address} cannot be written to: {self._failed}; see to it and run this again, which sends "
                "again what was not saved."
            )


def _words(error: Any) -> str:
    """Give what librdkafka says of an error."""
    found = error.args[0]
    return str(found.str() if hasattr(found, "str") else found).rstrip(".")
