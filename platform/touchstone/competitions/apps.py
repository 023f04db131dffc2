from django.apps import AppConfig


class CompetitionsConfig(AppConfig):
    name = "touchstone.competitions"
    default_auto_field = "django.db.models.BigAutoField"
