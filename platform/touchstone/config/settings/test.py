"""The test suite: real PostgreSQL, a broker in memory, cheap password hashes."""

from touchstone.config.logs import logging_config
from touchstone.config.settings.base import *  # noqa: F403
from touchstone.config.settings.base import STATIC_ROOT, STORAGES, database, env

SECRET_KEY = env.str("TOUCHSTONE_SECRET_KEY", default="tests-only-" + "0" * 50)
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
DATABASES = {"default": database(pool=0)}
CELERY_BROKER_URL = "memory://"
ACCOUNT_RATE_LIMITS = False
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True
TOUCHSTONE_RATE_LIMITS = False  # all tests come from one address; those of the limits switch them on
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGGING = logging_config(json=False, level="WARNING")
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
WHITENOISE_AUTOREFRESH = True
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # whitenoise warns where it is missing, and warnings are errors
