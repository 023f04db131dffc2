"""`manage.py competition_import FOLDER --owner USER`: import a competition's folder or zip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from touchstone.accounts.models import User
from touchstone.competitions.services import competition_import
from touchstone.core.errors import UserError


class Command(BaseCommand):
    help = "Imports a competition's folder or zip. Importing the same again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--owner", required=True, help="user name of the organiser")
        parser.add_argument("--replace", action="store_true", help="drop phases and splits that are gone and unused")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["owner"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['owner']!r}. Sign up first, or name another owner.")
        if not options["folder"].exists():
            raise CommandError(f"{options['folder']} does not exist.")
        try:
            outcome = competition_import(user=user, archive=options["folder"], replace=options["replace"])
        except UserError as error:
            raise CommandError(f"{error.message}\n{error.hint}") from error
        done = "created" if outcome.created else "changed" if outcome.changed else "unchanged"
        self.stdout.write(f"{outcome.competition.slug}: {done}, version {outcome.competition.version}")
