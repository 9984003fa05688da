"""Answers queries with DuckDB over JSON lines, Delta tables and their Parquet files.

Reads one request from standard input and prints one JSON array, with rows and seconds for each query:

    {"json":    {"ticks": {"path": "ticks.ndjson", "columns": {"price": "DOUBLE"}}},   DuckDB parses the lines itself
     "delta":   {"cold": "/data/cold/ticks/…"},                                        opened by the `deltalake` package
     "parquet": {"files": "/data/cold/ticks/…"},                                       the files that the Delta log names, read by DuckDB
     "storage": {"AWS_ENDPOINT_URL": "…"},                                             how to reach them, where that is a bucket
     "queries": ["SELECT count(*) AS n FROM ticks"]}         [{"rows": [{"n": 7}], "seconds": 0.01, "cpu_seconds": 0.02}]
"""

import datetime
import decimal
import json
import math
import sys
import time

import duckdb
from deltalake import DeltaTable

LONGEST_LINE = 16 * 1024 * 1024


def plain(value):
    """A value as Rekap's JSON shows it: times in RFC 3339, numbers as numbers, bytes as text."""
    if isinstance(value, datetime.datetime):
        return value.isoformat() + ("" if value.tzinfo else "Z")
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode()
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def delta_table(uri, storage):
    return DeltaTable(uri.removeprefix("file://"), storage_options=storage)


def connect(request):
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    for name, source in request.get("json", {}).items():
        columns = ", ".join(f"'{column}': '{kind}'" for column, kind in source["columns"].items())
        db.execute(
            f"CREATE TABLE {name} AS SELECT * FROM read_json('{source['path']}', format = 'newline_delimited', "
            f"columns = {{{columns}}}, maximum_object_size = {LONGEST_LINE})"
        )
    storage = request.get("storage")
    for name, uri in request.get("delta", {}).items():
        db.register(name, delta_table(uri, storage).to_pyarrow_dataset())
    for name, uri in request.get("parquet", {}).items():
        files = delta_table(uri, storage).file_uris()
        db.read_parquet(files, hive_partitioning=True).create_view(name)
    return db


def answer(db, query):
    started, cpu_started = time.perf_counter(), time.process_time()
    result = db.execute(query)
    names = [column[0] for column in result.description or []]
    fetched = result.fetchall() if names else []
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    rows = [{name: plain(value) for name, value in zip(names, row)} for row in fetched]
    return {"rows": rows, "seconds": seconds, "cpu_seconds": cpu_seconds}


def main():
    request = json.load(sys.stdin)
    db = connect(request)
    json.dump([answer(db, query) for query in request["queries"]], sys.stdout)


if __name__ == "__main__":
    main()
