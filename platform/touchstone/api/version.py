"""What clients are told about versions, in the headers of every answer."""

from __future__ import annotations

from touchstone import __version__

#: Older clients would misread or miss something that matters: they are told to upgrade, and stop.
MINIMUM_CLIENT = "0.1.0"

#: The server's own version, and the oldest `touchstone-client` that it still works with.
HEADERS = {"Touchstone-Version": __version__, "Touchstone-Minimum-Client": MINIMUM_CLIENT}
