"""Makes the tables of this folder, anew and in it: made by deltalake and pyiceberg, changed by DuckDB.

    pip install deltalake==1.6.6 'pyiceberg[sql-sqlite]==0.12.0' duckdb==1.5.5 duckdb-extension-delta==1.5.5 \\
        duckdb-extension-iceberg==1.5.5 duckdb-extension-avro==1.5.5 duckdb-extension-httpfs==1.5.5
    python make.py
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import CommitTableRequest

FIRST = pa.table({"id": [1, 2, 3], "x": [1.5, 2.5, None], "k": ["a", "b", None]})
INSERTS = [
    "insert into {} values (4, 7.5, 'a'), (5, null, 'c')",
    "insert into {} select 10 + range, exp(range::double / 3) - 2, 'b' from range(40)",
    "insert into {} values (6, -1e300, null)",
]
#: What DuckDB 1.5.5 can insert into a partitioned Delta table: rows of one partition, and no value that paths encode.
BY_KEY = [
    "insert into {} values (4, 7.5, 'a'), (5, -2, 'a')",
    "insert into {} select 10 + range, exp(range::double / 3) - 2, 'b' from range(40)",
    "insert into {} values (6, -1e300, null)",
]
CHANGES = [
    "delete from {} where id = 4 or id between 20 and 25",
    "update {} set x = x * 3 where id in (1, 12)",
    "delete from {} where id = 12",
]


def connection() -> duckdb.DuckDBPyConnection:
    """Give DuckDB with its extensions, which the wheels hold: nothing is downloaded."""
    import duckdb_extensions  # no need of the tests

    connected = duckdb.connect()
    for name in ("delta", "avro", "httpfs", "iceberg"):
        duckdb_extensions.import_extension(name, con=connected)
        connected.execute(f"load {name}")
    return connected


def delta(partitioned: list[str]) -> None:
    """Append to a Delta table, and keep what DuckDB reads of each version."""
    name = "delta_by_k" if partitioned else "delta"
    shutil.rmtree(name, ignore_errors=True)
    write_deltalake(name, FIRST, partition_by=partitioned or None)
    for version, words in enumerate([None, *(BY_KEY if partitioned else INSERTS)]):
        if words:
            with connection() as duck:
                duck.execute(f"attach '{name}' as t (type delta)")
                duck.execute(words.format("t"))
        with connection() as duck:
            rows = duck.execute(f"select * from delta_scan('{name}') order by id").to_arrow_table()
            pq.write_table(rows, f"rows/{name}_{version}.parquet")


def handler(catalog: SqlCatalog) -> type[BaseHTTPRequestHandler]:
    """Give a REST catalog over another one, as far as DuckDB asks it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.partition("?")[0].strip("/").split("/")[1:]
            answer: object = None
            if path == ["config"]:
                answer = {"defaults": {}, "overrides": {}}
            elif path == ["transactions", "commit"]:
                for change in json.loads(body)["table-changes"]:
                    asked = CommitTableRequest.model_validate(change)
                    catalog.commit_table(catalog.load_table("ns.t"), asked.requirements, asked.updates)
            elif len(path) == 4:
                table = catalog.load_table("ns.t")
                metadata = json.loads(table.metadata.model_dump_json(by_alias=True, exclude_none=True))
                answer = {"metadata-location": table.metadata_location, "metadata": metadata, "config": {}}
            elif path[2:] == ["tables"]:
                answer = {"identifiers": [{"namespace": ["ns"], "name": "t"}]}
            elif path == ["namespaces"]:
                answer = {"namespaces": [["ns"]]}
            else:
                answer = {"namespace": ["ns"], "properties": {}}
            data = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(200 if data else 204)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_HEAD = _any  # noqa: N815

        def log_message(self, *words: object) -> None:
            pass

    return Handler


def iceberg() -> None:
    """Insert, delete and update rows of an Iceberg table whose addresses are relative, so that it can be moved."""
    shutil.rmtree("iceberg", ignore_errors=True)
    Path("catalog.db").unlink(missing_ok=True)
    catalog = SqlCatalog("c", uri="sqlite:///catalog.db", warehouse="iceberg")
    catalog.create_namespace("ns")
    table = catalog.create_table("ns.t", schema=FIRST.schema, location="iceberg")
    table.append(FIRST)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(catalog))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = []
    for version, words in enumerate([None, *INSERTS, *CHANGES]):
        with connection() as duck:
            endpoint = f"http://127.0.0.1:{server.server_address[1]}"
            duck.execute(f"attach '' as ice (type iceberg, endpoint '{endpoint}', authorization_type 'none')")
            if words:
                duck.execute(words.format("ice.ns.t"))
            rows = duck.execute("select * from ice.ns.t order by id").to_arrow_table()
        pq.write_table(rows, f"rows/iceberg_{version}.parquet")
        found.append(catalog.load_table("ns.t").metadata_location)
    server.shutdown()
    Path("rows/iceberg.json").write_text(json.dumps(found, indent=1) + "\n")
    Path("catalog.db").unlink()


if __name__ == "__main__":
    os.chdir(Path(__file__).parent)
    Path("rows").mkdir(exist_ok=True)
    delta([])
    delta(["k"])
    iceberg()
