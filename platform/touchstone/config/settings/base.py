"""Settings that every profile shares. A profile adds only what differs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF
from redis.backoff import NoBackoff
from redis.retry import Retry

from touchstone.config.logs import logging_config
from touchstone.config.settings.accounts import mail_settings, oidc_settings
from touchstone.config.settings.env import FileEnv
from touchstone.config.settings.files import s3_settings
from touchstone.config.settings.issuers import issuer_settings

env = FileEnv()

ROOT = Path(__file__).resolve().parents[4]
VAR = Path(env.str("TOUCHSTONE_VAR", default=str(ROOT / "var"))).resolve()

BASE_URL = env.str("TOUCHSTONE_BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
TOUCHSTONE_BASE_URL = BASE_URL
ALLOWED_HOSTS = env.list("TOUCHSTONE_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("TOUCHSTONE_TRUSTED_ORIGINS", default=[BASE_URL])
DEBUG = False

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "rest_framework",
    "touchstone.accounts",
    "touchstone.competitions",
    "touchstone.drafts",
    "touchstone.submissions",
    "touchstone.evaluations",
    "touchstone.leaderboards",
    "touchstone.registry",
    "touchstone.transfers",
    "touchstone.hooks",
    "touchstone.audit",
    "touchstone.exports",
    "touchstone.api",
    "touchstone.web",  # before allauth, whose templates it overrides
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
]

MIDDLEWARE = [
    "touchstone.core.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "touchstone.web.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "touchstone.web.middleware.ProblemMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "touchstone.core.middleware.BodyLimitMiddleware",
]

ROOT_URLCONF = "touchstone.config.urls"
WSGI_APPLICATION = "touchstone.config.wsgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def database(*, pool: int) -> dict[str, object]:
    """The PostgreSQL of `DATABASE_URL`. `pool` is the largest number of connections of one process, 0 for no pool.

    The pool, not persistent connections: threads come and go, and a connection an idle thread keeps is lost to others.
    """
    found = env.db_url("DATABASE_URL", default="postgresql:///touchstone")
    found["CONN_MAX_AGE"] = 0
    if pool:
        found.setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": pool, "timeout": 10}
    return found


def cache(url: str) -> dict[str, object]:
    """Redis for the URL of one; any other URL (an AMQP broker) gives the memory of each process."""
    for scheme, address in (("redis+socket://", "unix://"), ("redis://", "redis://"), ("rediss://", "rediss://")):
        if url.startswith(scheme):
            location = address + url.removeprefix(scheme)
            options = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), 0)}
            return {
                "BACKEND": "touchstone.core.caches.SoftRedisCache", "LOCATION": location, "KEY_PREFIX": "touchstone",
                "OPTIONS": options,
            }  # fmt: skip
    return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}


DATABASES = {"default": database(pool=env.int("TOUCHSTONE_DB_POOL", default=8))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

# Mail: without a server no address can be verified and no password reset, and pages do not offer it.
TOUCHSTONE_EMAIL_URL = env.str("TOUCHSTONE_EMAIL_URL", default="")
vars().update(mail_settings(TOUCHSTONE_EMAIL_URL))
DEFAULT_FROM_EMAIL = env.str("TOUCHSTONE_EMAIL_FROM", default="Touchstone <noreply@localhost>")

# Accounts (django-allauth). Names of people are public here, their addresses are not.
ACCOUNT_ADAPTER = "touchstone.accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "reset_password_from_key": "touchstone.web.entrance_forms.ResetForm",
    "change_password": "touchstone.web.entrance_forms.ChangeForm",
}
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if TOUCHSTONE_EMAIL_URL else "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Touchstone: "
ACCOUNT_EMAIL_NOTIFICATIONS = bool(TOUCHSTONE_EMAIL_URL)
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if BASE_URL.startswith("https://") else "http"
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True
# Sign-in and sign-up count their tries themselves (core/rates.py), by name as well as by address. `login_failed` is
# what allauth holds codes of second factors to, and nothing else here (AccountAdapter.pre_authenticate).
ACCOUNT_RATE_LIMITS: dict[str, str | None] | bool = {"login": None, "login_failed": "5/5m/key", "signup": None}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = not TOUCHSTONE_EMAIL_URL  # else nobody could have a second factor
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Touchstone"
# Browsers offer passkeys over TLS, and on the machine itself.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = BASE_URL.startswith(("http://localhost", "http://127."))
SOCIALACCOUNT_ADAPTER = "touchstone.accounts.adapter.SocialAccountAdapter"
SOCIALACCOUNT_PROVIDERS, _OIDC_ORIGINS = oidc_settings(env.str("TOUCHSTONE_OIDC", default=""))
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10

# Jobs of CI services that may submit without a stored secret; see docs/trusted-publishing.md.
TOUCHSTONE_OIDC_ISSUERS = issuer_settings(env.str("TOUCHSTONE_OIDC_ISSUERS", default=""))

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_COOKIE_AGE = int(timedelta(days=365).total_seconds())
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
# Named, so that our words win over those of Django's own parts, wherever these stand among the applications.
LOCALE_PATHS = [Path(__file__).resolve().parents[2] / "web" / "locale"]
FORMAT_MODULE_PATH = ["touchstone.web.formats"]  # a decimal point in every language
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"
# Files: a folder, or a bucket of S3-compatible storage where one is named. See docs/operating.md.
_S3, _S3_ORIGINS = s3_settings(env)
# How long the URL of one part is good for.
TOUCHSTONE_S3_URL_SECONDS = env.int("TOUCHSTONE_S3_URL_SECONDS", default=3600)
STORAGES = {
    "default": _S3
    or {
        "BACKEND": "touchstone.core.storage.AtomicFileSystemStorage",
        "OPTIONS": {"location": env.str("TOUCHSTONE_STORAGE", default=str(VAR / "storage"))},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# A part of an upload and a node's report come as a request body; files of forms go to disk and do not count.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 2**20
FILE_UPLOAD_TEMP_DIR = None
# The body of a page's form: Django writes it to disk before a view is asked, so strangers get little.
TOUCHSTONE_FORM_BYTES = 2 * 2**30
TOUCHSTONE_FORM_BYTES_ANONYMOUS = 2**20

# Strict from the first page on: nothing inline, nothing from another host.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF, *_S3_ORIGINS],  # parts of files go straight to the store
        "font-src": [SELF],
        "base-uri": [NONE],
        # A sign-in form ends at the provider: browsers hold its redirect to this rule too.
        "form-action": [SELF, *_OIDC_ORIGINS],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = int(timedelta(days=14).total_seconds())

LOGGING = logging_config(json=True)

# Calls to addresses that people name: networks that may be reached though they are not public, and more authorities.
TOUCHSTONE_OUTBOUND_ALLOW = tuple(env.list("TOUCHSTONE_OUTBOUND_ALLOW", default=[]))
TOUCHSTONE_OUTBOUND_CA = env.str("TOUCHSTONE_OUTBOUND_CA", default="")
# Keys that seal credentials and secrets of webhooks, the newest first; see core/sealing.py.
TOUCHSTONE_CREDENTIAL_KEYS = tuple(env.list("TOUCHSTONE_CREDENTIAL_KEYS", default=[]))

# Uploads arrive by parts; an upload that is not completed in time is dropped.
TOUCHSTONE_UPLOAD_PART_SIZE = 8 * 2**20
TOUCHSTONE_UPLOAD_HOURS = 24

# How often one may try to sign in, sign up and make tokens; see core/rates.py.
TOUCHSTONE_RATE_LIMITS = env.bool("TOUCHSTONE_RATE_LIMITS", default=True)

# A run: how long a node may be silent, and how often the platform may fail it.
TOUCHSTONE_LEASE_SECONDS = 60
TOUCHSTONE_HEARTBEAT_SECONDS = 15
TOUCHSTONE_MAX_FAULTS = 3
TOUCHSTONE_CHECK_SECONDS = 120
# Images and models at once: fewer than the scheduler has processes, so that one is always free for the sweeper.
TOUCHSTONE_SLOW_CHECKS = max(1, env.int("TOUCHSTONE_CHECKERS", default=2) - 1)
# A pushed image gets a second more for so many bytes, up to so many seconds in all.
TOUCHSTONE_CHECK_BYTES_PER_SECOND = 20 * 2**20
TOUCHSTONE_CHECK_SECONDS_MAX = 1200
TOUCHSTONE_CHECK_LEASE_SECONDS = env.int("TOUCHSTONE_CHECK_LEASE_SECONDS", default=15)
TOUCHSTONE_NUDGE_SECONDS = 10
TOUCHSTONE_NODE_ONLINE_SECONDS = 60
# A node rests after a fault of its own, longer each time, and is in quarantine after so many in a row.
TOUCHSTONE_NODE_REST_SECONDS = env.int("TOUCHSTONE_NODE_REST_SECONDS", default=10)
TOUCHSTONE_NODE_MAX_FAULTS = env.int("TOUCHSTONE_NODE_MAX_FAULTS", default=3)
# How long a phase of lower priority may be kept waiting altogether.
TOUCHSTONE_QUEUE_PATIENCE_SECONDS = env.int("TOUCHSTONE_QUEUE_PATIENCE_SECONDS", default=600)
# Failures of the participant's own, in each phase: they take none of the quota, and have a limit of their own.
TOUCHSTONE_MAX_PARTICIPANT_FAILURES_PER_DAY = env.int("TOUCHSTONE_MAX_PARTICIPANT_FAILURES_PER_DAY", default=20)
# Live logs: streams of one process (each takes a thread) and of one person, and the longest of them.
TOUCHSTONE_STREAMS = env.int("TOUCHSTONE_STREAMS", default=4)
TOUCHSTONE_STREAMS_PER_USER = env.int("TOUCHSTONE_STREAMS_PER_USER", default=3)
TOUCHSTONE_STREAM_SECONDS = env.float("TOUCHSTONE_STREAM_SECONDS", default=60.0)

CELERY_BROKER_URL = env.str("TOUCHSTONE_BROKER_URL", default="redis://127.0.0.1:6379/0")

# The platform's own registry of images; an empty host means that there is none. See docs/registry.md.
TOUCHSTONE_REGISTRY_HOST = env.str("TOUCHSTONE_REGISTRY_HOST", default="")
_registry_scheme = "http" if TOUCHSTONE_REGISTRY_HOST.startswith(("127.", "localhost")) else "https"
TOUCHSTONE_REGISTRY_URL = (
    env.str("TOUCHSTONE_REGISTRY_URL", default="") or f"{_registry_scheme}://{TOUCHSTONE_REGISTRY_HOST}"
)
TOUCHSTONE_REGISTRY_PULL_HOST = env.str("TOUCHSTONE_REGISTRY_PULL_HOST", default="") or TOUCHSTONE_REGISTRY_HOST
TOUCHSTONE_REGISTRY_SECRETS = env.str("TOUCHSTONE_REGISTRY_SECRETS", default=str(VAR / "secrets" / "registry"))
TOUCHSTONE_REGISTRY_QUOTA = env.int("TOUCHSTONE_REGISTRY_QUOTA", default=20 * 2**30)
TOUCHSTONE_REGISTRY_IMAGES = env.int("TOUCHSTONE_REGISTRY_IMAGES", default=200)
# One person's images, archives and models: whose check waits or is made, and whose check refused them within a day.
TOUCHSTONE_IMAGE_CHECKS_AT_ONCE = 5
#: Bytes of files in all drafts of one person: what is in a draft stays, unlike an upload that nobody used.
TOUCHSTONE_DRAFT_BYTES = env.int("TOUCHSTONE_DRAFT_BYTES", default=50 * 2**30)
TOUCHSTONE_IMAGE_CHECKS_PER_DAY = env.int("TOUCHSTONE_IMAGE_CHECKS_PER_DAY", default=30)
# Whether a submission may name an image of the node's own engine: for one machine whose people trust each other.
TOUCHSTONE_LOCAL_IMAGES = env.bool("TOUCHSTONE_LOCAL_IMAGES", default=True)
