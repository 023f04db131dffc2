"""The demo's settings with short patience, so that a lost node is noticed within a test."""

from touchstone.config.settings.dev import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
TOUCHSTONE_LEASE_SECONDS = 12
TOUCHSTONE_HEARTBEAT_SECONDS = 3
TOUCHSTONE_NUDGE_SECONDS = 3
TOUCHSTONE_CHECK_SECONDS = 15
