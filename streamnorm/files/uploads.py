"""Files of a store that are being written."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any

from streamnorm.files.answers import answered, library

if TYPE_CHECKING:
    from streamnorm.files.stores import Remote

__all__ = ["MARK", "Upload"]

_LOG = logging.getLogger("streamnorm")

#: Bytes of one part of an upload, of which a store takes ten thousand; and how many are under way for one file.
_PART_BYTES, _PARTS_AT_ONCE = 16 << 20, 2
#: Seconds after which it is told that a part of an upload is not taken.
_SLOW = 5
#: The name under which an object says what it was made of.
MARK = "streamnorm"


class Upload:
    """A file of a store that is being written; nobody sees it before `finish`.

    Parameters
    ----------
    place : Remote
    mark : str or None
        What the object says that it was made of.
    """

    def __init__(self, place: Remote, mark: str | None) -> None:
        self._place, self._attributes = place, {MARK: mark} if mark else None
        self._begun = bytearray()
        self._writer: Any = None

    def open(self, mode: str = "wb") -> io.RawIOBase:
        """Begin, and begin anew what was begun before."""
        self.drop()
        return _Opened(self)

    def write_bytes(self, data: bytes) -> None:
        """Write all there is."""
        self.open()
        self.write(data)

    def write_text(self, text: str, encoding: str) -> None:
        """Write all there is."""
        self.write_bytes(text.encode(encoding))

    def write(self, data: Any) -> int:
        """Write some bytes; what one request takes is kept until the end."""
        view = memoryview(data).cast("B")
        if self._writer is None and len(self._begun) + len(view) <= _PART_BYTES:
            self._begun += view
            return len(view)
        if self._writer is None:
            with answered(self._place):
                self._writer = library().open_writer(
                    self._place.store.uploader, self._place.within, attributes=self._attributes,
                    buffer_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE,
                )  # fmt: skip
            self._send(self._begun)
            self._begun = bytearray()
        self._send(view)
        return len(view)

    def _send(self, data: Any) -> None:
        with answered(self._place), self._telling():
            self._writer.write(data)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell of a store that takes its time: how often a part is sent is known to the library alone."""
        timer = Timer(_SLOW, _LOG.info, ["%s: the store has not taken a part for %s s; waiting", self._place, _SLOW])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def finish(self) -> None:
        """Let the object be there."""
        if self._writer is not None:
            with answered(self._place), self._telling():
                self._writer.close()
            return
        self._place.store_whole(bytes(self._begun), attributes=self._attributes)

    def drop(self) -> None:
        """Let nothing be there of what was written."""
        writer, self._writer, self._begun = self._writer, None, bytearray()
        if writer is not None and not writer.closed():
            with answered(self._place):
                writer.__exit__(InterruptedError, InterruptedError(), None)  # aborts; to close would complete it


class _Opened(io.RawIOBase):
    """What is written to an upload; to close it completes nothing.

    Parameters
    ----------
    upload : Upload
    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:
        """Write all of it."""
        return self._upload.write(data)
