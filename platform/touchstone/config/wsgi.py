"""WSGI entry point, for gunicorn's gthread workers."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "touchstone.config.settings.dev")
application = get_wsgi_application()
