from django.apps import AppConfig


class LeaderboardsConfig(AppConfig):
    name = "touchstone.leaderboards"
    default_auto_field = "django.db.models.BigAutoField"
