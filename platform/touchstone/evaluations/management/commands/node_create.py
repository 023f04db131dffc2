"""`manage.py node_create NAME`: make a worker node known and print its token, once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from touchstone.core.errors import UserError
from touchstone.evaluations.services import node_create


class Command(BaseCommand):
    help = "Makes a worker node known and prints its token. The token is not stored and cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--replace", action="store_true", help="give a node that exists a new token")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            _, raw = node_create(name=options["name"], replace=options["replace"])
        except UserError as error:
            raise CommandError(f"{error.message} {error.hint}") from error
        self.stdout.write(raw)
