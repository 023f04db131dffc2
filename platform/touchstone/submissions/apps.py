from django.apps import AppConfig


class SubmissionsConfig(AppConfig):
    name = "touchstone.submissions"
    default_auto_field = "django.db.models.BigAutoField"
