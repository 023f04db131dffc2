"""`python -m touchstone_client.cli`."""

from touchstone_client.cli import main

main()
