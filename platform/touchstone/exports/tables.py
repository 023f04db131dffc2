"""Tables in columns."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import islice
from typing import IO, Any

#: Rows of a row group.
_GROUP = 5_000
_TEXTS = (
    "submission", "participant", "phase", "run", "key", "metric", "pillar", "title",
)  # fmt: skip


def parquet_results(rows: Iterable[dict[str, Any]]) -> IO[bytes]:
    """The rows of `contents.result_row` as a Parquet file, at its start; gone when it is closed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([
        *((name, pa.string()) for name in _TEXTS), *((name, pa.float64()) for name in ("value", "low", "high")),
        ("n", pa.int64()), *((name, pa.string()) for name in ("unit", "direction", "state", "reason")),
    ])  # fmt: skip
    file = tempfile.TemporaryFile(prefix="touchstone-export-")  # noqa: SIM115 - the caller closes it
    source = iter(rows)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while part := list(islice(source, _GROUP)):
            writer.write_table(pa.Table.from_pylist(part, schema=schema))
    file.seek(0)
    return file
