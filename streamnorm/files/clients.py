"""Clients of object stores: `pyarrow.fs` reads; it cannot abort an upload or write on a condition: `obstore` writes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from streamnorm.errors import OutputError
from streamnorm.files.answers import PAUSES, RETRY_SECONDS, library
from streamnorm.files.azure import azure_filesystem, azure_settings

__all__ = ["client_of", "filesystem_at"]

#: Seconds until a connection is given up, and a request: a part of an upload takes the longest.
_CONNECT_SECONDS, _REQUEST_SECONDS = 10, 300
#: What says that a profile of AWS has the keys, where the environment has none.
_PROFILE = "AWS_PROFILE"
_PROFILE_FILES = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}

#: What says where Google's emulators are, as its own libraries have it.
_EMULATOR = "CLOUD_STORAGE_EMULATOR_ENDPOINT"


def filesystem_at(uri: str) -> tuple[Any, str]:
    """Connect for reading to where a URI leads; give the `pyarrow.fs.FileSystem` and the path in it.

    Characters that no URI has, such as blanks and letters beyond ASCII, may stand there as they are.

    Raises
    ------
    OSError or pyarrow.ArrowException
        If it is no URI, or there is no such store.
    """
    from pyarrow import fs

    uri = quote(uri, safe=_OF_URIS)
    parts = urlsplit(uri)
    if parts.scheme in _AZURE:
        return azure_filesystem(uri)
    if parts.scheme in _GOOGLE and "retry_limit_seconds" not in parse_qs(
        parts.query
    ):  # by default a quarter of an hour
        uri = parts._replace(
            query="&".join(filter(None, [parts.query, f"retry_limit_seconds={RETRY_SECONDS}"]))
        ).geturl()
    found: tuple[Any, str] = fs.FileSystem.from_uri(uri)
    return found


def client_of(uri: str, bucket: str, filesystem: Any, *, tries: bool) -> Any:
    """Connect for writing to the bucket of a URI, with the settings in it and those of the environment.

    Parameters
    ----------
    uri : str
        As the user wrote it: settings stand behind a question mark.
    bucket : str
    filesystem : pyarrow.fs.FileSystem
        The same for reading.
    tries : bool
        Whether the client asks again of itself where that fails for a while.

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
    given = make(_Named(parts, settings, filesystem))
    kind, options = given.pop("kind"), given.pop("client_options", {})
    return kind(
        bucket, **given,
        client_options={
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS), "timeout": timedelta(seconds=_REQUEST_SECONDS),
            **options,
        },
        retry_config={
            "max_retries": len(PAUSES) if tries else 0, "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            "backoff": {"max_backoff": timedelta(seconds=PAUSES[-1])},
        },
    )  # fmt: skip


class _Named(NamedTuple):
    """What is known of a store.

    Parameters
    ----------
    parts : SplitResult
        Of the URI.
    settings : dict of str to str
        In the URI, as `pyarrow.fs` calls them.
    filesystem : pyarrow.fs.FileSystem
        For reading.
    """

    parts: SplitResult
    settings: dict[str, str]
    filesystem: Any


def _s3(named: _Named) -> dict[str, Any]:
    """Give the kind and settings of a client, of what the URI and the environment say."""
    parts, settings, filesystem = named
    found: dict[str, Any] = {"kind": library().store.S3Store}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    endpoint = _endpoint_in(settings) or endpoint
    if endpoint:
        found |= {"endpoint": endpoint, "client_options": {"allow_http": endpoint.startswith("http://")}}
    region = getattr(filesystem, "region", None)
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


def _endpoint_in(settings: dict[str, str]) -> str:
    """Give the address that a URI says a store has."""
    endpoint = settings.get("endpoint_override", "")
    return endpoint if "://" in endpoint or not endpoint else f"{settings.get('scheme', 'https')}://{endpoint}"


def _has_profile() -> bool:
    files = (os.environ.get(name, default) for name, default in _PROFILE_FILES.items())
    return _PROFILE in os.environ or any(Path(file).expanduser().exists() for file in files)


def _gcs(named: _Named) -> dict[str, Any]:
    """Give the kind of a client, which knows the environment, and where it leads if not to Google."""
    found: dict[str, Any] = {"kind": library().store.GCSStore}
    emulator = os.environ.get(_EMULATOR, "")
    endpoint = _endpoint_in(named.settings) or emulator
    if endpoint:
        found |= {"base_url": endpoint, "client_options": {"allow_http": endpoint.startswith("http://")}}
    if emulator or named.parts.username == "anonymous":
        nobody = {"gcs_base_url": endpoint or _GOOGLE_URL, "disable_oauth": True}
        found["service_account_key"] = json.dumps(
            {**nobody, "client_email": "", "private_key": "", "private_key_id": ""}
        )
    return found


def _azure(named: _Named) -> dict[str, Any]:
    """Give the kind of a client, and what is said of the account."""
    kind = named.settings.get("credential_kind")
    return {"kind": library().store.AzureStore, **azure_settings(named.filesystem, kind)}


#: Characters that mean something in URIs, beside letters, digits and ``_.-~``.
_OF_URIS = "%:/?#[]@!$&'()*+,;="
_GOOGLE_URL = "https://storage.googleapis.com"
#: Kinds of stores by the schemes of their URIs, as `pyarrow.fs` knows them.
_GOOGLE, _AZURE = ("gs", "gcs"), ("abfs", "abfss")
_CLIENTS: dict[str, Callable[[_Named], dict[str, Any]]] = {
    "s3": _s3,
    **dict.fromkeys(_GOOGLE, _gcs),
    **dict.fromkeys(_AZURE, _azure),
}
