"""`manage.py secrets_reseal`: after a new key was put first, so that the old ones can go."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from touchstone.core.sealing import Sealed
from touchstone.hooks.services import webhooks_reseal
from touchstone.submissions.endpoints import credentials_reseal


class Command(BaseCommand):
    help = "Seal the secrets of credentials and webhooks anew with the first key of TOUCHSTONE_CREDENTIAL_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():  # all of them, or none
                credentials, webhooks = credentials_reseal(), webhooks_reseal()
        except Sealed as error:
            text = f"Nothing was changed: {error}. Put the key that sealed it back into TOUCHSTONE_CREDENTIAL_KEYS."
            raise CommandError(text) from error
        self.stdout.write(
            f"Sealed {credentials} credentials and the secrets of {webhooks} webhooks with the first key."
        )
