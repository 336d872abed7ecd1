"""Addresses of topics: ``kafka://HOST:PORT,HOST:PORT/TOPIC?group=NAME``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from streamnorm.errors import DataError, SourceError

__all__ = ["Address", "is_topic", "settings_of"]

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def is_topic(source: object) -> bool:
    """Tell whether a source is the address of a topic."""
    return str(source).startswith("kafka:")


@dataclass(frozen=True)
class Address:
    """Where a topic is.

    Parameters
    ----------
    brokers : str
        Hosts and ports, with commas between them.
    topic : str
    group : str, optional
        Whose members share the partitions; all partitions are read without.

    Examples
    --------
    >>> Address.of("kafka://a:9092,b:9092/prices?group=scalers")
    Address(brokers='a:9092,b:9092', topic='prices', group='scalers')
    """

    brokers: str
    topic: str
    group: str | None = None

    @classmethod
    def of(cls, text: str) -> Address:
        """Read an address; raises DataError where it is none."""
        parts = urlsplit(str(text))
        topic = parts.path.strip("/")
        if parts.scheme != "kafka" or not parts.netloc or not _TOPIC.fullmatch(topic):
            raise DataError(f"the address of a topic is kafka://HOST:PORT/TOPIC, got {text!r}.")
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        unknown = next((name for name in given if name != "group"), None)
        if unknown is not None or given.get("group") == "":
            raise DataError(f"behind the topic stands ?group=NAME or nothing, got {parts.query!r} in {text!r}.")
        return cls(parts.netloc.rpartition("@")[2], topic, given.get("group"))

    def __str__(self) -> str:
        return f"kafka://{self.brokers}/{self.topic}"


def settings_of(path: str | Path | None) -> dict[str, str]:
    """Read settings of librdkafka from a file of lines ``name=value``, as Kafka's own programs take them.

    Raises
    ------
    SourceError, DataError
        If it cannot be read, or a line is no setting.
    """
    if path is None:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {error}; name a file of settings.") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not (name and equals):
            raise DataError(f"{path}, line {number}: a setting is written name=value, found {name[:100]!r}.")
        found[name] = value
    return found
