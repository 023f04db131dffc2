"""The fixtures of the pages."""

from tests.factories.world import METRICS, ROLES, World, changes, report_for, score, team_up, world

__all__ = ["METRICS", "ROLES", "World", "changes", "report_for", "score", "team_up", "world"]
