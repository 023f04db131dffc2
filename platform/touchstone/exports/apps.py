from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "touchstone.exports"
    label = "exports"
