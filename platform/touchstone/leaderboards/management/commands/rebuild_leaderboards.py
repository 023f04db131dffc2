"""`manage.py rebuild_leaderboards [SLUG …]`: entries and history of boards, computed anew from the results."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from touchstone.leaderboards.models import Leaderboard
from touchstone.leaderboards.services import leaderboard_rebuild


class Command(BaseCommand):
    """What is the same stays the same; after an update it fills in the history of what was scored before."""

    help = "Compute entries and history of the leaderboards of all or the named competitions anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", help="Competitions; all where none is named.")

    def handle(self, *args: Any, **options: Any) -> None:
        boards = Leaderboard.objects.select_related("competition", "phase").order_by("pk")
        if options["slugs"]:
            boards = boards.filter(competition__slug__in=options["slugs"])
        for board in boards:
            count = leaderboard_rebuild(leaderboard=board)
            self.stdout.write(f"{board.competition.slug}/{board.phase.slug}/{board.slug}: {count} entries")
