"""What a warm process imports before it is forked for each check: the readers, and nothing of anybody's file.

Not the libraries of models: they are large, and a model's check takes longer than their import.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

import runners.intake.code
import runners.intake.predictions  # noqa: F401
from runners.intake.arrow import without_pandas

without_pandas()
pa.array([""])  # its first array looks for pandas; the answer is kept
