"""The settings of a real installation, read in a process of their own, and the cache they choose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from touchstone.config.settings.base import cache
from touchstone.core.caches import SoftRedisCache

NEEDED = {
    "TOUCHSTONE_SECRET_KEY": "k" * 60, "DATABASE_URL": "postgresql:///x", "TOUCHSTONE_BROKER_URL": "redis://broker/0",
    "TOUCHSTONE_STORAGE": "/srv/storage", "TOUCHSTONE_ALLOWED_HOSTS": "example.org",
    "TOUCHSTONE_BASE_URL": "https://example.org",
}  # fmt: skip
_READ = """
import json
from django.conf import settings
from django.urls import get_resolver
names = ("DEBUG", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS", "INSTALLED_APPS",
         "TOUCHSTONE_RATE_LIMITS")
found = {name: getattr(settings, name) for name in names}
found["cache"] = {key: settings.CACHES["default"].get(key) for key in ("BACKEND", "LOCATION")}
print(json.dumps(found))
"""


def prod(**changes: str) -> subprocess.CompletedProcess[str]:
    root = Path(settings.ROOT)
    path = os.pathsep.join(str(root / part) for part in ("platform", ".", "client"))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "touchstone.config.settings.prod"}
    return subprocess.run(
        [sys.executable, "-c", _READ], capture_output=True, text=True, env=env | NEEDED | changes, cwd=root
    )


def test_production_is_closed() -> None:
    found = json.loads(prod(TOUCHSTONE_DEBUG="1", DEBUG="1").stdout)

    assert found["DEBUG"] is False
    assert (found["SESSION_COOKIE_SECURE"], found["CSRF_COOKIE_SECURE"], found["TOUCHSTONE_RATE_LIMITS"]) == (True,) * 3
    assert found["SECURE_HSTS_SECONDS"] > 0
    assert "django.contrib.admin" not in found["INSTALLED_APPS"]
    assert found["cache"] == {"BACKEND": "touchstone.core.caches.SoftRedisCache", "LOCATION": "redis://broker/0"}


def test_a_cache_of_its_own_wins_and_must_be_a_redis() -> None:
    assert json.loads(prod(TOUCHSTONE_CACHE_URL="redis://cache/1").stdout)["cache"]["LOCATION"] == "redis://cache/1"
    assert "TOUCHSTONE_CACHE_URL must be" in prod(TOUCHSTONE_CACHE_URL="memcache://x").stderr


def test_what_is_missing_is_named() -> None:
    assert "DATABASE_URL" in prod(DATABASE_URL="").stderr


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"), ("rediss://h/1", "rediss://h/1"),
        ("redis+socket:///run/r.sock", "unix:///run/r.sock"), ("amqp://h//", None), ("memory://", None),
    ],
)  # fmt: skip
def test_the_cache_of_a_url(url: str, location: str | None) -> None:
    found = cache(url)

    assert found.get("LOCATION") == location
    assert ("Redis" in str(found["BACKEND"])) == (location is not None)


def test_a_real_redis_counts(redis_url: str) -> None:
    options = cache(redis_url)
    store = SoftRedisCache(options["LOCATION"], {"KEY_PREFIX": "t", "OPTIONS": options["OPTIONS"]})

    assert store.add("n", 1, 30)
    assert not store.add("n", 1, 30)
    assert (store.incr("n"), store.incr("n"), store.decr("n"), store.get("n")) == (2, 3, 2, 2)


def test_a_redis_that_is_away_holds_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    options = cache(f"redis+socket://{tmp_path}/none.sock")
    store = SoftRedisCache(options["LOCATION"], {"OPTIONS": options["OPTIONS"]})

    assert store.add("n", 1, 30)
    assert store.get("n", "default") == "default"
    store.set("n", 5)
    assert not store.delete("n")
    with pytest.raises(ValueError, match="away"):
        store.incr("n")
