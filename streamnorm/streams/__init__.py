"""Streams that are followed as they come: topics of Kafka, and folders that files arrive in.

The room imports the doors of `jobs` and of what `jobs` imports. Begin with `follow`, then `topic`, which is the journey
of a message.
"""

from streamnorm.streams.address import is_topic
from streamnorm.streams.follow import follow, stream_of

__all__ = ["follow", "is_topic", "stream_of"]
