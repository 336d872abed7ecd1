"""What a store answers: asked again where that helps, told, and turned into one sentence with the remedy."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from streamnorm.errors import OutputError, StreamnormError, amount

__all__ = [
    "PAUSES",
    "RETRY_SECONDS",
    "BeatenError",
    "UnansweredError",
    "answered",
    "asked",
    "library",
    "patiently",
    "said_of",
]

T = TypeVar("T")
_LOG = logging.getLogger("streamnorm")

#: Seconds between tries of a request that fails for a while, and how long after the first another one may begin.
PAUSES, RETRY_SECONDS = (0.1, 0.5, 1, 2, 4, 8), 60

#: What those that write say of an answer, and of how often they tried.
_STATUS = re.compile(r"status code: (\d+)([ \w]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_RETRIED = re.compile(r"after (\d+) retries")
#: What those that read say of a request that may do better a little later.
_FOR_A_WHILE = re.compile(
    r"INTERNAL_FAILURE|NETWORK_CONNECTION|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING|REQUEST_TIMEOUT|HTTP status 5|curl"
    r"|UNAVAILABLE|RESOURCE_EXHAUSTED|ServerBusy|OperationTimedOut|50[0234] "
)
_READ_STATUS = re.compile(r"AWS Error (\w+).*HTTP status (\d+)", re.DOTALL)
_UNREACHED = re.compile(r"curlCode: \d+, ([^;]+)")
#: Characters of what is told of an answer that is not understood.
_REASON = 160


class BeatenError(Exception):
    """A file of a store is not, or no longer, what a write was conditional on."""


class UnansweredError(OutputError):
    """A store gave no answer or half of one, or has no time: what was asked for may be done.

    Parameters
    ----------
    message, said, remedy : str
        What is told, and the parts of it: what the store said, and what to do.
    """

    def __init__(self, message: str, said: str, remedy: str) -> None:
        super().__init__(message)
        self.said, self.remedy = said, remedy


def library() -> Any:
    """Import what writes; raises OutputError where it is not installed."""
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError:
        raise OutputError(
            "stores cannot be written to without obstore: install it (pip install 'streamnorm[stores]')."
        ) from None
    return obstore


@contextmanager
def answered(location: object) -> Iterator[None]:
    """Turn what a store answers to whoever writes into one sentence with the remedy.

    Raises
    ------
    BeatenError
        If the write was conditional, and there was something else.
    OutputError
        If the store refuses, or cannot be reached.
    """
    errors = library().exceptions
    try:
        yield
    except StreamnormError:
        raise
    except (errors.BaseError, OSError) as error:
        text = str(error)
        if isinstance(error, FileNotFoundError) or _NO_BUCKET.search(text):
            raise OutputError(
                f"{location} cannot be written: there is no such bucket; make it, or check its name."
            ) from error
        if isinstance(error, (errors.AlreadyExistsError, errors.PreconditionError)) and _IN_FLIGHT not in text:
            raise BeatenError(str(location)) from error
        raise _refusal(location, text) from error
    except ValueError as error:
        raise OutputError(
            f"{location} cannot be written: a store takes no such name ({error}); choose another."
        ) from error


def asked(location: object, ask: Callable[[], T]) -> T:
    """Ask a store for what may be asked for twice, with the errors of `answered`."""
    tries = 0

    def once() -> T:
        nonlocal tries
        tries += 1
        with answered(location):
            return ask()

    try:
        return patiently(location, once, lambda error: error.said if isinstance(error, UnansweredError) else None)
    except UnansweredError as error:
        raise UnansweredError(
            f"{location} cannot be written: {error.said}, asked {amount(tries, 'time')}; {error.remedy}.",
            error.said,
            error.remedy,
        ) from error


def patiently(
    location: object, ask: Callable[[], T], said: Callable[[OSError], str | None] = lambda error: said_of(str(error))
) -> T:
    """Ask, and ask again where that fails for a while; each time is told, and there is an end to it.

    Parameters
    ----------
    location : object
        What is asked for.
    ask : callable
    said : callable, optional
        Gives what the store said, by the error; None where it would not do better a little later.
    """
    begun = time.monotonic()
    for number, pause in enumerate(PAUSES, 2):
        try:
            return ask()
        except OSError as error:
            reason = said(error)
            if reason is None or time.monotonic() - begun > RETRY_SECONDS:
                raise
            _LOG.info("%s: %s; trying again in %s s (%d of %d)", location, reason, pause, number, len(PAUSES) + 1)
            time.sleep(pause)
    return ask()


def said_of(text: str) -> str | None:
    """Say what a store answered to who reads; None where it would answer the same again."""
    if not _FOR_A_WHILE.search(text):
        return None
    status = _READ_STATUS.search(text)
    if status:
        return f"the store answers {status[2]} {status[1]}".removesuffix(" UNKNOWN")
    unreached = _UNREACHED.search(text)
    return f"it cannot be reached ({unreached[1]})" if unreached else " ".join(text.split()).rstrip(".")[:_REASON]


def _refusal(location: object, text: str) -> OutputError:
    """Say what a store answered, after how many tries of the library, and what to do."""
    status, code, retried = (pattern.search(text) for pattern in (_STATUS, _CODE, _RETRIED))
    after = f", asked {amount(int(retried[1]) + 1, 'time')}" if retried and int(retried[1]) else ""
    if _ROLE.search(text):
        said, later = "there are no credentials", status is None or status[1] in _LATER
        remedy = "set them in the environment, or give the machine a role"
    elif status is None:
        first = " ".join(text.split("\n\n", maxsplit=1)[0].split()).rpartition(" - ")[2]
        said, remedy, later = f"it cannot be reached ({first})", "check its address and the network", True
    else:
        said = f"the store answers {status[1]} {code[1] if code else status[2].strip()}".rstrip()
        later = status[1] in _LATER or _IN_FLIGHT in text
        remedy = "run this again later" if later else _REMEDIES.get(status[1], "see to it and run this again")
    message = f"{location} cannot be written: {said}{after}; {remedy}."
    return UnansweredError(message, said, remedy) if later and not after else OutputError(message)


#: What stores say where there is no bucket.
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|bucket does not exist")
#: Addresses at which machines ask for the role that they have; clients ask there last.
_ROLE = re.compile("/latest/(api/token|meta-data)|/computeMetadata/|/metadata/identity")
#: What S3 says to a conditional write while another one is under way.
_IN_FLIGHT = "ConditionalRequestConflict"
#: What to do about an answer; some of them mean that there is no time now.
_LATER = ("429", "500", "502", "503", "504")
_REMEDIES = {
    "301": "check the region",
    "307": "check the region",
    "400": "check the address, the region and the credentials",
    "401": "check the credentials",
    "403": "check the credentials, and what they allow",
    "404": "make the bucket, or check its name",
}
