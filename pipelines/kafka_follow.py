"""Normalise a topic of Kafka as it comes: ``python pipelines/kafka_follow.py BROKERS TOPIC OUTPUT --state STATE``.

Each message, a JSON object, is counted once, whatever is killed when: the state holds the statistics and the offsets
that are in them, and both are replaced in one step. Its normalised copy is sent at least once. This is the loop that
`streamnorm follow` runs, to be changed: filter messages, join them with something, send elsewhere.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

import streamnorm as sn
from streamnorm.errors import StreamnormError


def rows_of(messages: list[Message], columns: list[str]) -> pa.Table:
    """Read messages as rows; this is the place to filter and to join."""
    objects = [json.loads(message.value()) for message in messages]
    return pa.table({name: pa.array([row.get(name) for row in objects], pa.float64()) for name in columns})


def places(consumer: Consumer, topic: str, state: sn.Following) -> list[TopicPartition]:
    """Find where each partition goes on: where the state says, or at its beginning."""
    found = []
    for partition in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
        low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
        found.append(TopicPartition(topic, partition, state.position(f"{topic}/{partition}", low)))
    return found


def follow(given: argparse.Namespace, asked: list[int]) -> int:
    servers = {"bootstrap.servers": given.brokers}
    consumer = Consumer(servers | {"group.id": "streamnorm", "enable.auto.commit": False, "auto.offset.reset": "error"})
    producer, counted = Producer(servers | {"enable.idempotence": True}), 0
    with sn.following(given.state, sn.TableNormalizer(given.scaler)) as state:
        begins = {place.partition: place.offset for place in places(consumer, given.topic, state)}
        consumer.assign([TopicPartition(given.topic, partition, offset) for partition, offset in begins.items()])
        while not asked and (given.messages is None or counted < given.messages):
            came = consumer.consume(1000, timeout=0.5)
            for message in came:
                if message.error() and message.error().code() != KafkaError._PARTITION_EOF:
                    raise SystemExit(f"error: {given.topic}: {message.error().str()}")
            for partition, start in begins.items():
                own = [message for message in came if message.partition() == partition and not message.error()]
                if not own:
                    continue
                end = own[-1].offset() + 1
                full = [message for message in own if message.value() is not None]  # the others are tombstones
                table = rows_of(full, given.columns)
                state.add(table, {f"{given.topic}/{partition}": (start, end)})
                for message, row in zip(full, state.transform(table).to_pylist(), strict=True):
                    value = json.dumps(json.loads(message.value()) | row).encode()
                    producer.produce(given.output, value, key=message.key())
                    producer.poll(0)
                begins[partition], counted = end, counted + len(own)
            if state.is_due(given.every):
                producer.flush()  # results first: what is delivered again is then sent again
                state.save()
        producer.flush()
    consumer.close()
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description="Normalise a topic of Kafka as it comes.")
    parser.add_argument("brokers", metavar="BROKERS", help="HOST:PORT,HOST:PORT")
    parser.add_argument("topic", metavar="TOPIC")
    parser.add_argument("output", metavar="OUTPUT", help="the topic of the results")
    parser.add_argument("--state", required=True, help="where to keep what was learnt")
    parser.add_argument("--columns", required=True, type=lambda text: text.split(","), help="fields that are numbers")
    parser.add_argument("--scaler", default="standard", help="of every column")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between saves")
    parser.add_argument("--messages", type=int, help="end after so many, rather than when asked to (SIGTERM, Ctrl-C)")
    given, asked = parser.parse_args(), list[int]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: asked.append(number))
    try:
        print(f"{follow(given, asked)} messages, state {sn.load(given.state).digest()}")
    except StreamnormError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
