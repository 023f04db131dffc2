from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "touchstone.registry"
    label = "registry"
