"""A real installation. Everything secret or local comes from the environment, or from files that it names (NAME_FILE).

What is missing stops the start."""

from django.core.exceptions import ImproperlyConfigured

from touchstone.config.settings.base import *  # noqa: F403
from touchstone.config.settings.base import cache, env

_files = "TOUCHSTONE_S3_BUCKET" if env.str("TOUCHSTONE_S3_BUCKET", default="") else "TOUCHSTONE_STORAGE"
_NEEDED = ("TOUCHSTONE_SECRET_KEY", "DATABASE_URL", "TOUCHSTONE_BROKER_URL", _files,
           "TOUCHSTONE_ALLOWED_HOSTS", "TOUCHSTONE_BASE_URL")  # fmt: skip
_missing = [name for name in _NEEDED if not env.str(name, default="")]
if _missing:
    raise ImproperlyConfigured(f"Set these environment variables before starting Touchstone: {', '.join(_missing)}.")

SECRET_KEY = env.str("TOUCHSTONE_SECRET_KEY")
if len(SECRET_KEY) < 50 or SECRET_KEY.startswith(("development-only-", "tests-only-")):
    raise ImproperlyConfigured(
        "TOUCHSTONE_SECRET_KEY, or the file of TOUCHSTONE_SECRET_KEY_FILE, must be at least 50 random characters of "
        "your own; make one with `python -c 'import secrets; print(secrets.token_urlsafe(50))'`."
    )

# Limits on tries count in the cache, so server processes share one where there is one: Redis, here or as the broker.
_cache_url = env.str("TOUCHSTONE_CACHE_URL", default="")
if _cache_url and not _cache_url.startswith(("redis://", "rediss://", "redis+socket://")):
    raise ImproperlyConfigured(
        "TOUCHSTONE_CACHE_URL must be the URL of a Redis: redis://, rediss:// or redis+socket://."
    )
CACHES = {"default": cache(_cache_url or env.str("TOUCHSTONE_BROKER_URL"))}

# Nodes are many, and whose image is on one is nobody else's business: images come by the registry or as archives.
TOUCHSTONE_LOCAL_IMAGES = env.bool("TOUCHSTONE_LOCAL_IMAGES", default=False)

_https = env.str("TOUCHSTONE_BASE_URL").startswith("https://")
SESSION_COOKIE_SECURE = _https
CSRF_COOKIE_SECURE = _https
LANGUAGE_COOKIE_SECURE = _https
SECURE_SSL_REDIRECT = env.bool("TOUCHSTONE_SSL_REDIRECT", default=False)
SECURE_HSTS_SECONDS = env.int("TOUCHSTONE_HSTS_SECONDS", default=31_536_000 if _https else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = False
# Only behind a proxy that sets the header itself: otherwise anybody could claim to speak TLS.
if env.bool("TOUCHSTONE_BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
