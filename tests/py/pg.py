"""SQLAlchemy with its drivers, pandas and asyncpg as Postgres clients.

`pg.py URL` reads one request from standard input and prints the answer, both JSON. `pg.py URL follow TABLE` reads the table all the
time, by one prepared statement and through pandas in turn, and prints for each read the versions that its rows say they are of, until
its input ends. `pg.py URL again QUERY` runs a query by one prepared statement of each driver for each line of its input, and prints
the columns that they got.
"""

import asyncio
import json
import sys
import threading

import asyncpg
import pandas
import psycopg
from sqlalchemy import MetaData, Table, create_engine, inspect, text


def inspected(engine, schema):
    """What SQLAlchemy finds out about tables."""
    inspector = inspect(engine)
    tables = inspector.get_table_names(schema=schema)
    return {
        "default_schema": inspector.default_schema_name,
        "schemas": sorted(inspector.get_schema_names()),
        "tables": sorted(tables),
        "found_without_schema": sorted(inspector.get_table_names()),
        "views": inspector.get_view_names(schema=schema),
        "foreign_keys": [inspector.get_foreign_keys(table, schema=schema) for table in tables],
        "has": {table: inspector.has_table(table, schema=schema) for table in tables + ["nothing"]},
    }


def reflected(engine, schema, table):
    """What SQLAlchemy reflects of a table: the same by both drivers."""
    drivers = [engine, create_engine(engine.url.set(drivername="postgresql+psycopg2"))]
    found = [reflection(inspect(driver), driver, schema, table) for driver in drivers]
    assert found[0] == found[1], found
    return found[0]


def reflection(inspector, engine, schema, table):
    """What one driver finds out."""
    by_itself = Table(table, MetaData(), autoload_with=engine, schema=schema)
    everything = MetaData()
    everything.reflect(engine, schema=schema, views=True)
    return {
        "columns": [[c["name"], str(c["type"]), c["nullable"]] for c in inspector.get_columns(table, schema=schema)],
        "key": inspector.get_pk_constraint(table, schema=schema)["constrained_columns"],
        "indexes": inspector.get_indexes(table, schema=schema),
        "unique": inspector.get_unique_constraints(table, schema=schema),
        "checks": inspector.get_check_constraints(table, schema=schema),
        "foreign_keys": inspector.get_foreign_keys(table, schema=schema),
        "comment": inspector.get_table_comment(table, schema=schema)["text"],
        "views": inspector.get_view_names(schema=schema),
        "enums": inspector.get_enums(schema="*"),
        "autoload": [[c.name, c.primary_key] for c in by_itself.columns],
        "everything": sorted(everything.tables),
    }


def whole(engine, schema, table):
    """A whole table through pandas, which reflects it first."""
    found = pandas.read_sql_table(table, engine, schema=schema)
    return {"rows": len(found), "kinds": {name: str(kind) for name, kind in found.dtypes.items()}}


def frame(engine, query, parameters):
    """A query through pandas."""
    found = pandas.read_sql(text(query), engine, params=parameters)
    rows = json.loads(found.to_json(orient="records", date_format="iso", date_unit="us"))
    return {"kinds": {name: str(kind) for name, kind in found.dtypes.items()}, "rows": rows}


def failure(engine, query):
    """The SQLSTATE with which a query is refused, and whether the connection goes on."""
    with engine.connect() as connection:
        try:
            connection.execute(text(query)).fetchall()
        except Exception as refused:  # whatever the driver makes of it
            state = getattr(refused.orig, "sqlstate", None)
            connection.rollback()
            return {"state": state, "goes_on": connection.execute(text("SELECT 1")).scalar() == 1}
    return {"state": None}


def follow(url, table):
    """Reads the table until the input ends."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    engine = create_engine(url)
    query = f"SELECT made_by, events FROM {table} WHERE key >= %s"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        while not ended.is_set():
            rows = connection.execute(query, ("",), prepare=True).fetchall()
            print(json.dumps(sorted({row[0] for row in rows})), flush=True)
            found = pandas.read_sql(text(f"SELECT made_by FROM {table} WHERE events > :n"), engine, params={"n": 0})
            print(json.dumps(sorted(int(version) for version in found["made_by"].unique())), flush=True)


async def again(url, query):
    """Runs a query for each line of the input."""
    address = url.replace("+psycopg", "")
    one = await asyncpg.connect(address)
    with psycopg.connect(address, autocommit=True) as other:
        for _ in sys.stdin:
            rows = await one.fetch(query)
            found = other.execute(query, prepare=True)
            print(json.dumps([list(rows[0].keys()), [column.name for column in found.description]]), flush=True)
    await one.close()


def main():
    url = sys.argv[1]
    if len(sys.argv) > 2:
        return follow(url, sys.argv[3]) if sys.argv[2] == "follow" else asyncio.run(again(url, sys.argv[3]))
    engine = create_engine(url)
    answers = []
    for name, arguments in json.load(sys.stdin):
        calls = {"inspect": inspected, "reflect": reflected, "whole": whole, "frame": frame, "failure": failure}
        call = calls[name]
        answers.append(call(engine, *arguments))
    json.dump(answers, sys.stdout)


main()
