"""A real S3 server of this machine's, and a proxy before it that loses, cuts and refuses, or stops who asks."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

BUCKET = "bucket"
_REFUSALS = {"403": "AccessDenied", "503": "SlowDown"}
CHANGING = {"PUT", "POST", "DELETE"}
_COMMAND = [sys.executable, "-P", "-c", "from streamnorm.cli import main; main()"]


class Request(NamedTuple):
    """A request that came to the proxy: its number from 0, that of its kind (changing or not), and what it is."""

    number: int
    nth: int
    method: str
    path: str

    @property
    def changes(self) -> bool:
        """Whether the store may be another one after it."""
        return self.method in CHANGING


#: Says what becomes of a request: "pass", "403", "503", "reset" (nothing is done), "lost" (done, and not answered),
#: "cut" (answered with half of the body), "stop" (done, and who asks is stopped before it is answered). It may wait.
Rule = Callable[[Request], str]


class Bucket:
    """What lies in a bucket of the server."""

    def __init__(self, endpoint: str) -> None:
        import boto3

        self.endpoint = endpoint
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )

    def make(self) -> None:
        """Make the bucket."""
        self._client.create_bucket(Bucket=BUCKET)

    def tree(self) -> dict[str, bytes]:
        """Give all objects."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {key: self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def uploads(self) -> list[str]:
        """Give what was begun and neither completed nor aborted."""
        return [item["Key"] for item in self._client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self._client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def remove(self, key: str) -> None:
        """Remove an object."""
        self._client.delete_object(Bucket=BUCKET, Key=key)

    def put_tree(self, folder: Path) -> None:
        """Write the files of a folder, with the time of now."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(path.relative_to(folder).as_posix(), path.read_bytes())

    def clear(self) -> None:
        """Remove all objects, and uploads that are under way."""
        for key in self.tree():
            self.remove(key)
        for item in self._client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()):
            self._client.abort_multipart_upload(Bucket=BUCKET, Key=item["Key"], UploadId=item["UploadId"])


@contextmanager
def server() -> Iterator[Bucket]:
    """Run an S3 server with an empty bucket."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    try:
        _forget_all(f"{host}:{port}")  # which all servers of a process have in common
        bucket = Bucket(f"http://{host}:{port}")
        bucket.make()
        yield bucket
    finally:
        _forget_all(f"{host}:{port}")
        running.stop()


def _forget_all(address: str) -> None:
    connection = http.client.HTTPConnection(address)
    connection.request("POST", "/moto-api/reset")
    connection.getresponse().read()
    connection.close()


def environment(endpoint: str) -> dict[str, str]:
    """Give what finds a server as any program finds it."""
    return {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


class Ended(NamedTuple):
    """How a process ended: its exit code (or signal, negative), and what it said."""

    code: int
    out: str
    err: str


def start(endpoint: str, words: str, folder: Path, before: Sequence[object] = ()) -> subprocess.Popen[str]:
    """Start the command in a folder, in a process of its own that finds a server, behind another command if any."""
    return subprocess.Popen(
        [*map(str, before), *_COMMAND, *words.split()], cwd=folder, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, **environment(endpoint), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


class Proxy:
    """Stands before a server.

    Attributes
    ----------
    rule : callable
        What becomes of a request.
    seen : list of Request
    stop : callable
        Stops who asks.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.rule: Rule = lambda request: "pass"
        self.seen: list[Request] = []
        self.stop: Callable[[], object] = bool
        self._behind = bucket.endpoint.removeprefix("http://")
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def begin(self, rule: Rule) -> None:
        """Follow a rule from now on, and count anew."""
        self.rule, self.seen = rule, []

    def __enter__(self) -> Proxy:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, method: str, path: str) -> Request:
        with self._lock:
            nth = sum((other.method in CHANGING) == (method in CHANGING) for other in self.seen)
            self.seen.append(Request(len(self.seen), nth, method, path))
            return self.seen[-1]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fate = proxy.rule(proxy._next(self.command, self.path))
                if fate == "reset":
                    self._hang_up()
                elif fate in _REFUSALS:
                    text = f"<?xml version='1.0'?><Error><Code>{_REFUSALS[fate]}</Code></Error>".encode()
                    self._answer(int(fate), [("Content-Type", "application/xml")], text, len(text))
                else:
                    self._pass(body, fate)

            def _pass(self, body: bytes, fate: str) -> None:
                behind = http.client.HTTPConnection(proxy._behind, timeout=60)
                try:
                    headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                    behind.request(self.command, self.path, body, headers)
                    came = behind.getresponse()
                    data, found = came.read(), came.getheaders()
                finally:
                    behind.close()
                if fate == "stop":
                    proxy.stop()
                if fate in ("lost", "stop"):
                    self._hang_up()
                    return
                size = int(came.getheader("Content-Length", len(data)))
                cut = fate == "cut" and len(data) > 1
                self._answer(came.status, found, data[: len(data) // 2] if cut else data, size)
                if cut:
                    self._hang_up()

            def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, size: int) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)
                self.wfile.flush()

            def _hang_up(self) -> None:
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815

            def log_message(self, *words: Any) -> None:
                pass

            def handle(self) -> None:
                with suppress(OSError):  # whoever asked is gone
                    super().handle()

            def finish(self) -> None:
                with suppress(OSError, ValueError):  # was hung up on
                    super().finish()

        return Handler
