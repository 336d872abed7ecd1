"""Azure's stores: what a URI and the environment say of an account, told to whoever reads and to whoever writes."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["azure_filesystem", "azure_settings"]

#: Variables that name an account, and those that let one in, as Azure's own programs and other libraries call them.
_ACCOUNT = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
_SECRETS = {
    "account_key": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"),
    "sas_token": ("AZURE_STORAGE_SAS_TOKEN",),
}
#: What lets one in, of the settings of `pyarrow.fs.AzureFileSystem`, by the names that `obstore` has for it.
_ADMITTING = {
    "account_key": "account_key", "sas_token": "sas_key", "tenant_id": "tenant_id", "client_id": "client_id",
    "client_secret": "client_secret",
}  # fmt: skip


def azure_filesystem(uri: str) -> tuple[Any, str]:
    """Connect for reading; keys and signatures in the environment, which `pyarrow.fs` does not look for, hold too.

    Parameters
    ----------
    uri : str
        In one of the ways of `pyarrow.fs`, or ``abfs://container/path`` where the environment names the account.
    """
    from pyarrow import fs

    parts, account = urlsplit(uri), _first(_ACCOUNT)
    if account and not set(parts.netloc) & set("@.:"):
        uri = parts._replace(netloc=f"{account}@{parts.netloc}").geturl()
    filesystem, key = fs.FileSystem.from_uri(uri)
    settings = _said(filesystem)
    named = account in (None, settings.get("account_name")) and "credential_kind" not in parse_qs(parts.query)
    if named and not settings.keys() & _ADMITTING.keys():
        given = {name: found for name, variables in _SECRETS.items() if (found := _first(variables))}
        if given:
            secret = next(iter(given))
            filesystem = fs.AzureFileSystem(**settings, **{secret: given[secret]})
    return filesystem, key


def azure_settings(filesystem: Any, kind: str | None) -> dict[str, Any]:
    """Give the settings of `obstore.store.AzureStore` that lead where a file system leads.

    Parameters
    ----------
    filesystem : pyarrow.fs.AzureFileSystem
    kind : str or None
        The ``credential_kind`` of the URI.
    """
    settings = _said(filesystem)
    account, where = settings["account_name"], settings["blob_storage_authority"]
    scheme = settings["blob_storage_scheme"]
    host = f"{account}{where}" if where.startswith(".") else f"{where}/{account}"
    found: dict[str, Any] = {
        "account_name": account, "endpoint": f"{scheme}://{host}", "client_options": {"allow_http": scheme == "http"},
    }  # fmt: skip
    found |= {name: settings[own] for own, name in _ADMITTING.items() if own in settings}
    return found | {"anonymous": {"skip_signature": True}, "cli": {"use_azure_cli": True}}.get(kind or "", {})


def _said(filesystem: Any) -> dict[str, str]:
    """Give the settings of a file system, as it gives them to another process."""
    _, (settings,) = filesystem.__reduce__()
    return {name: value for name, value in settings.items() if value}


def _first(variables: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)
