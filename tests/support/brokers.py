"""Real brokers' protocol without a broker: the cluster that librdkafka itself answers for, on ports of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

kafka = pytest.importorskip("confluent_kafka")

_QUIET = {"log_level": 0}


class Brokers:
    """A cluster in this process, whom other processes reach too."""

    def __init__(self, client: Any) -> None:
        found = client.list_topics(timeout=10).brokers.values()
        self.names = ",".join(f"{broker.host}:{broker.port}" for broker in found)
        self.producer = kafka.Producer({**_QUIET, "bootstrap.servers": self.names})

    def address(self, topic: str, group: str = "") -> str:
        return f"kafka://{self.names}/{topic}{group and f'?group={group}'}"

    def send(self, topic: str, values: Iterable[Any], partition: int = 0, key: bytes | None = None) -> None:
        """Send values, of which those that are no bytes and no tombstones are written as JSON."""
        for value in values:
            data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            self.producer.produce(topic, data, partition=partition, key=key)
            self.producer.poll(0)
        assert self.producer.flush(30) == 0

    def transaction(self, topic: str, values: Iterable[Any], partition: int = 0) -> None:
        """Send values in a transaction, whose marker takes an offset of its own."""
        producer = kafka.Producer({**_QUIET, "bootstrap.servers": self.names, "transactional.id": "t"})
        producer.init_transactions(10)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, json.dumps(value).encode(), partition=partition)
        producer.commit_transaction(10)

    def read(self, topic: str) -> list[Any]:
        """Give all messages of a topic, by partition and offset."""
        consumer = kafka.Consumer(
            {**_QUIET, "bootstrap.servers": self.names, "group.id": "read", "enable.partition.eof": True}
        )
        partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([kafka.TopicPartition(topic, partition, 0) for partition in partitions])
        found, ended = [], 0
        while ended < len(partitions):
            for message in consumer.consume(1000, timeout=0.2):
                ended += message.error() is not None
                found += [message] if message.error() is None else []
        consumer.close()
        return sorted(found, key=lambda message: (message.partition(), message.offset()))


@contextmanager
def brokers() -> Iterator[Brokers]:
    """Run a cluster whose topics have four partitions, of which each keeps 5 MB or 100,000 messages."""
    client = kafka.Producer({**_QUIET, "test.mock.num.brokers": 1, "bootstrap.servers": "none"})
    yield Brokers(client)
    del client
