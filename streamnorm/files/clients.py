"""Clients of object stores, for writing: `pyarrow.fs` cannot abort an upload, nor write on a condition."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from streamnorm.errors import OutputError, StreamnormError

__all__ = ["BeatenError", "answered", "asked", "client_of", "library", "patiently"]

T = TypeVar("T")
_LOG = logging.getLogger("streamnorm")

#: Most retries of a request that fails for a while, the seconds in which they begin, and the longest pause between two.
_RETRIES, _RETRY_SECONDS, _LONGEST_PAUSE = 6, 60, 8
#: Seconds between tries of what the libraries do not try again of themselves.
_PAUSES = (0.1, 0.2, 0.5, 1, 2, 4)
#: Seconds until a connection is given up, and a request: a part of an upload takes the longest.
_CONNECT_SECONDS, _REQUEST_SECONDS = 10, 300
#: What says that a profile of AWS has the keys, where the environment has none.
_PROFILE = "AWS_PROFILE"
_PROFILE_FILES = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}

_STATUS = re.compile(r"status code: (\d+)([ \w]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_RETRIED = re.compile(r"after (\d+) retries")


class BeatenError(Exception):
    """A file of a store is not, or no longer, what a write was conditional on."""


class UnansweredError(OutputError):
    """A store was asked once, and gave no answer or half of one: what was asked for may be done."""


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


def client_of(uri: str, bucket: str, region: str | None) -> Any:
    """Connect to the bucket of a URI, with the settings in it and those of the environment.

    Parameters
    ----------
    uri : str
        As the user wrote it: settings stand behind a question mark.
    bucket : str
    region : str or None
        Where the bucket lies, if the store has regions.

    Raises
    ------
    OutputError
        If nothing can be written there, or a library for it is missing.
    """
    parts = urlsplit(uri)
    name = f"{parts.scheme}://{bucket}"
    make = _CLIENTS.get(parts.scheme)
    if make is None:
        raise OutputError(
            f"{name} cannot be written: only {', '.join(_CLIENTS)} and paths can be; write to one of these."
        )
    settings = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    given = make(_Named(parts, settings, region))
    kind, options = given.pop("kind"), given.pop("client_options", {})
    return kind(
        bucket, **given,
        client_options={
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS), "timeout": timedelta(seconds=_REQUEST_SECONDS),
            **options,
        },
        retry_config={
            "max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
            "backoff": {"max_backoff": timedelta(seconds=_LONGEST_PAUSE)},
        },
    )  # fmt: skip


class _Named(NamedTuple):
    """What a URI says of a store.

    Parameters
    ----------
    parts : SplitResult
    settings : dict of str to str
        As `pyarrow.fs` calls them.
    region : str or None
        Where the bucket lies, if the store has regions.
    """

    parts: SplitResult
    settings: dict[str, str]
    region: str | None


def _s3(named: _Named) -> dict[str, Any]:
    """Give the kind and settings of a client, of what the URI and the environment say."""
    parts, settings, region = named
    found: dict[str, Any] = {"kind": library().store.S3Store}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if "endpoint_override" in settings:
        endpoint = settings["endpoint_override"]
        if "://" not in endpoint:
            endpoint = f"{settings.get('scheme', 'https')}://{endpoint}"
    if endpoint:
        found |= {"endpoint": endpoint, "client_options": {"allow_http": endpoint.startswith("http://")}}
    if region:
        found["region"] = region
    if parts.username:
        found |= {
            "access_key_id": unquote(parts.username), "secret_access_key": unquote(parts.password or ""), "token": "",
        }  # fmt: skip
    elif "AWS_ACCESS_KEY_ID" not in os.environ and _has_profile():
        try:
            from obstore.auth.boto3 import Boto3CredentialProvider
        except ImportError:
            raise OutputError(
                f"s3://{parts.hostname} cannot be written as a profile without boto3: install it (pip install boto3)."
            ) from None
        found["credential_provider"] = Boto3CredentialProvider()
    return found


def _has_profile() -> bool:
    files = (os.environ.get(name, default) for name, default in _PROFILE_FILES.items())
    return _PROFILE in os.environ or any(Path(file).expanduser().exists() for file in files)


def _gcs(named: _Named) -> dict[str, Any]:
    """Give the kind of a client, which knows the environment."""
    return {"kind": library().store.GCSStore}


def _azure(named: _Named) -> dict[str, Any]:
    """Give the kind of a client, and what the URI says of the account."""
    found: dict[str, Any] = {"kind": library().store.AzureStore}
    account, dot, _ = (named.parts.hostname or "").partition(".")
    if dot:
        found["account_name"] = account
    if named.parts.password:
        found["account_key"] = unquote(named.parts.password)
    return found


#: Kinds of stores by the schemes of their URIs, as `pyarrow.fs` knows them.
_CLIENTS: dict[str, Callable[[_Named], dict[str, Any]]] = {
    "s3": _s3,
    "gs": _gcs,
    "gcs": _gcs,
    "abfs": _azure,
    "abfss": _azure,
}


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
    except (errors.AlreadyExistsError, errors.PreconditionError) as error:
        raise BeatenError(str(location)) from error
    except FileNotFoundError as error:
        raise OutputError(
            f"{location} cannot be written: there is no such bucket; make it, or check its name."
        ) from error
    except (errors.BaseError, OSError) as error:
        kind, reason = _reason(str(error))
        raise kind(f"{location} cannot be written: {reason}.") from error
    except ValueError as error:
        raise OutputError(
            f"{location} cannot be written: a store takes no such name ({error}); choose another."
        ) from error


def asked(location: object, ask: Callable[[], T]) -> T:
    """Ask a store for what may be asked for twice, with the errors of `answered`."""

    def once() -> T:
        with answered(location):
            return ask()

    return patiently(once, lambda error: isinstance(error, UnansweredError))


def patiently(ask: Callable[[], T], for_a_while: Callable[[OSError], bool]) -> T:
    """Ask, and ask again where that fails for a while; each time is told, and there is an end to it.

    Parameters
    ----------
    ask : callable
    for_a_while : callable
        Tells whether it may do better a little later, by the error.
    """
    for pause in _PAUSES:
        try:
            return ask()
        except OSError as error:
            if not for_a_while(error):
                raise
            reason = " ".join(str(error).split()).rstrip(".")
            _LOG.info("%s; trying again in %s s", reason, pause)
            time.sleep(pause)
    return ask()


def _reason(text: str) -> tuple[type[OutputError], str]:
    """Say what a store answered, after how many tries of the library, and what to do."""
    status, code, retried = (pattern.search(text) for pattern in (_STATUS, _CODE, _RETRIED))
    after, kind = (f", after {int(retried[1]) + 1} tries", OutputError) if retried else ("", UnansweredError)
    if status is None:
        first = " ".join(text.split("\n\n", maxsplit=1)[0].split()).rpartition(" - ")[2]
        return kind, f"it cannot be reached{after} ({first}); check its address and the network"
    said = f"the store answers {status[1]} {code[1] if code else status[2].strip()}".rstrip() + after
    if status[1] in _LATER:
        return kind, f"{said}; run this again later"
    return OutputError, f"{said}; {_REMEDIES.get(status[1], 'see to it and run this again')}"


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
