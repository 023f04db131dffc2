"""Settings, URLs and entry points. The Celery app is loaded with the settings, so tasks know their broker."""

from touchstone.config.celery import app as celery_app

__all__ = ["celery_app"]
