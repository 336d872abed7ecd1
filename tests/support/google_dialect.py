"""Google's XML dialect before a server that speaks JSON alone: ``python google_dialect.py BEHIND PORT``.

It is a process of its own, since pyarrow keeps Python's lock while it opens a file there.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import sys
from contextlib import suppress
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape


def _asked(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        came = connection.getresponse()
        return came.status, came.getheaders(), came.read()
    finally:
        connection.close()


class _Dialect:
    """Translates Google's XML requests that write or list to the JSON requests of the server behind; all else passes.

    Whether a write on a condition is done, the server decides. Parts of an upload wait here until it is complete.
    """

    def __init__(self, behind: int) -> None:
        self._port = behind
        self._uploads: dict[str, tuple[dict[str, str], dict[int, bytes]]] = {}

    def serve(self, port: int) -> None:
        """Answer until the process is ended."""
        ThreadingHTTPServer(("127.0.0.1", port), self._handler()).serve_forever()

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Answer a request."""
        parts = urlsplit(path)
        asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        xml = not re.match(r"/(storage|upload|download|resumable|batch)/", parts.path)
        if xml and method == "GET" and not key:
            return self._listed(bucket, asked)
        if xml and method == "POST" and "uploads" in asked:
            number = secrets.token_hex(8)
            self._uploads[number] = (headers, {})
            told = f"<InitiateMultipartUploadResult><UploadId>{number}</UploadId></InitiateMultipartUploadResult>"
            return 200, [], told.encode()
        if xml and method == "PUT" and "uploadId" in asked:
            self._uploads[asked["uploadId"]][1][int(asked["partNumber"])] = body
            return 200, [("ETag", f'"{asked["partNumber"]}"')], b""
        if xml and method == "POST" and "uploadId" in asked:
            first, pieces = self._uploads.pop(asked["uploadId"])
            numbers = [int(n) for n in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
            status, found, _ = self._inserted(bucket, key, first, b"".join(pieces[n] for n in numbers))
            tag = dict(found).get("ETag", "")
            told = f"<CompleteMultipartUploadResult><ETag>{escape(tag)}</ETag></CompleteMultipartUploadResult>"
            return status, found, told.encode()
        if xml and method == "DELETE" and "uploadId" in asked:
            self._uploads.pop(asked["uploadId"], None)
            return 204, [], b""
        if xml and method == "PUT":
            return self._inserted(bucket, key, headers, body)
        if xml and method == "DELETE":
            return _asked(self._port, method, f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}")
        if xml and method in ("GET", "HEAD"):
            return self._read(method, f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}", headers)
        return _asked(self._port, method, path, body, headers)

    def _read(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
        """Give an object, or what is known of it."""
        status, _, text = _asked(self._port, "GET", path)
        if status != 200:
            return status, [], b"<Error><Code>NoSuchKey</Code></Error>"
        found = json.loads(text)
        known = [
            ("ETag", f'"{found["etag"]}"'), ("x-goog-generation", found["generation"]),
            ("Last-Modified", format_datetime(datetime.fromisoformat(found["updated"]), usegmt=True)),
            *((f"x-goog-meta-{name}", value) for name, value in found.get("metadata", {}).items()),
        ]  # fmt: skip
        if method == "HEAD":
            return 200, [*known, ("Content-Length", found["size"])], b""
        limits = {"Range": headers["range"]} if "range" in headers else {}
        status, answered, data = _asked(self._port, "GET", f"{path}?alt=media", b"", limits)
        return status, [*known, *(pair for pair in answered if pair[0].lower() == "content-range")], data

    def _inserted(
        self, bucket: str, key: str, headers: dict[str, str], data: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Write an object, on the condition there is."""
        metadata = {n[len("x-goog-meta-") :]: v for n, v in headers.items() if n.startswith("x-goog-meta-")}
        about = json.dumps({"name": key, "metadata": metadata}).encode()
        edge = secrets.token_hex(16)
        body = b"".join(
            b"--%s\r\nContent-Type: %s\r\n\r\n%s\r\n" % (edge.encode(), kind, piece)
            for kind, piece in ((b"application/json", about), (b"application/octet-stream", data))
        )
        condition = headers.get("x-goog-if-generation-match")
        matching = f"&ifGenerationMatch={condition}" if condition else ""
        status, _, text = _asked(
            self._port, "POST", f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart{matching}",
            body + f"--{edge}--\r\n".encode(), {"Content-Type": f"multipart/related; boundary={edge}"},
        )  # fmt: skip
        if status != 200:
            code = {404: "NoSuchBucket", 412: "PreconditionFailed"}.get(status, "Error")
            return status, [], f"<Error><Code>{code}</Code></Error>".encode()
        found = json.loads(text)
        return 200, [("ETag", f'"{found["etag"]}"'), ("x-goog-generation", found["generation"])], b""

    def _listed(self, bucket: str, asked: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
        """List the objects whose names begin as asked."""
        prefix = quote(asked.get("prefix", ""), safe="")
        status, _, text = _asked(self._port, "GET", f"/storage/v1/b/{bucket}/o?maxResults=10000&prefix={prefix}")
        if status != 200:
            return status, [], b"<Error><Code>NoSuchBucket</Code></Error>"
        items = "".join(
            f"<Contents><Key>{escape(found['name'])}</Key><Size>{found['size']}</Size>"
            f"<LastModified>{found['updated']}</LastModified><ETag>{escape(found['etag'])}</ETag></Contents>"
            for found in json.loads(text).get("items", ())
        )
        return 200, [], f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        dialect = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # an answer in one piece: halves of it wait for each other

            def _any(self) -> None:
                body = self._body()
                headers = {name.lower(): value for name, value in self.headers.items()}
                for name in ("expect", "transfer-encoding", "content-length", "connection"):
                    headers.pop(name, None)
                status, found, data = dialect._answer(self.command, self.path, headers, body)
                self.send_response_only(status)
                size = len(data)
                for name, value in found:
                    if name.lower() == "content-length" and self.command == "HEAD":
                        size = int(value)
                    elif name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any  # noqa: N815

            def log_message(self, *words: Any) -> None:
                pass

            def handle(self) -> None:
                with suppress(OSError):  # whoever asked is gone
                    super().handle()

        return Handler


if __name__ == "__main__":
    _Dialect(int(sys.argv[1])).serve(int(sys.argv[2]))
