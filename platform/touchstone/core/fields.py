"""Model fields."""

from __future__ import annotations

from typing import Any

from django.db import models


class PairsField(models.JSONField):  # type: ignore[type-arg]
    """A dict whose order counts. Stored as a list of [key, value] pairs, for `jsonb` sorts the keys of an object."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"default": dict, **options})

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        found = super().from_db_value(value, expression, connection)
        return None if found is None else dict(found)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        pairs = [[key, item] for key, item in value.items()] if isinstance(value, dict) else value
        return super().get_db_prep_value(pairs, connection, prepared)
