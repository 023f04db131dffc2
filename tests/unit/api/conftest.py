"""The fixtures of the REST interface."""

from tests.unit.api.api_fixtures import (
    anna,
    anyone,
    bundles_read,
    fresh_throttles,
    import_bundle,
    node,
    olga,
    organiser,
    participant,
    paula,
    score,
    small,
    stranger,
)

__all__ = [
    "anna", "anyone", "bundles_read", "fresh_throttles", "import_bundle", "node", "olga", "organiser", "participant",
    "paula", "score", "small", "stranger",
]  # fmt: skip
