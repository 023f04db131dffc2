#!/usr/bin/env python
"""Django's entry point. The one place that knows `platform/` is a source root (it is not a package)."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent / "platform"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "touchstone.config.settings.dev")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
