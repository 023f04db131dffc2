"""Many rows at once, past Django's signals and the checks of foreign keys. For a scratch database only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import Model
from django.db.models.expressions import DatabaseDefault

#: Of a table: what makes each secondary index again, and what drops it. Primary keys stay, others refer to them.
_INDEXES = """
SELECT CASE WHEN c.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
         ELSE format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', i.indrelid::regclass, c.conname,
                     pg_get_constraintdef(c.oid)) END,
       CASE WHEN c.oid IS NULL THEN format('DROP INDEX %%s', i.indexrelid::regclass)
         ELSE format('ALTER TABLE %%s DROP CONSTRAINT %%I', i.indrelid::regclass, c.conname) END
FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'u'
WHERE i.indrelid = %s::regclass AND NOT i.indisprimary ORDER BY i.indexrelid
"""


@contextmanager
def loading(models: Sequence[type[Model]]) -> Iterator[Any]:
    """A cursor that checks no foreign key; the secondary indexes of the models' tables are made anew at the end.

    The rows must fit together by construction. Filling an index row by row in random order takes most of the time.
    """
    with connection.cursor() as cursor:
        made = []
        for model in models:
            cursor.execute(_INDEXES, [model._meta.db_table])
            made += cursor.fetchall()
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for _, drop in made:
            cursor.execute(drop)
        yield cursor
        for make, _ in made:
            cursor.execute(make)
        cursor.execute("RESET maintenance_work_mem")
        cursor.execute("SET session_replication_role = DEFAULT")


def rows_like(cursor: Any, like: Model, *, source: str, values: Mapping[str, str]) -> None:
    """Insert one row like `like` for each row of `source`, a FROM clause; `values`: SQL of the columns that differ."""
    columns, told, given = [], [], []
    for field in like._meta.concrete_fields:
        if field.column in values:
            columns.append(field.column)
            told.append(values[field.column])
            continue
        value = field.pre_save(like, add=True)
        if isinstance(value, DatabaseDefault) or (field.primary_key and value is None):
            continue
        columns.append(field.column)
        told.append("%s")
        given.append(field.get_db_prep_save(value, connection))
    table, names = like._meta.db_table, ", ".join(f'"{name}"' for name in columns)
    cursor.execute(f"INSERT INTO {table} ({names}) SELECT {', '.join(told)} FROM {source}", given)


def copy_rows(cursor: Any, table: str, columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    """COPY rows into a table."""
    with cursor.cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
