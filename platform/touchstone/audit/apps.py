from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "touchstone.audit"
    default_auto_field = "django.db.models.BigAutoField"
