from django.apps import AppConfig


class HooksConfig(AppConfig):
    name = "touchstone.hooks"
    label = "hooks"
