"""One machine: the demo and development. Debug pages stay off unless TOUCHSTONE_DEBUG=1."""

from touchstone.config.logs import logging_config
from touchstone.config.settings.base import *  # noqa: F403
from touchstone.config.settings.base import STORAGES, env

DEBUG = env.bool("TOUCHSTONE_DEBUG", default=False)
# Known to everybody, and so refused by the prod profile.
SECRET_KEY = env.str("TOUCHSTONE_SECRET_KEY", default="development-only-" + "touchstone" * 5)
LOGGING = logging_config(json=False)

# Static files straight from the sources: no collectstatic needed.
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
