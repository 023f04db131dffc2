from django.apps import AppConfig


class TransfersConfig(AppConfig):
    name = "touchstone.transfers"
    label = "transfers"
