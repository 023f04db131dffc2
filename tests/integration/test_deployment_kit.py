"""What the test of a deployment waits for has an end."""

from __future__ import annotations

import subprocess
import sys

import pytest
from deploykit import ended


def test_a_command_that_does_not_end_is_killed() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], stdout=subprocess.PIPE, text=True
    )
    with pytest.raises(AssertionError, match="did not end within"):
        ended(process, seconds=0.1)
    assert process.returncode == -9
