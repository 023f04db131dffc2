"""Settings of S3-compatible storage, all of them from the environment."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from touchstone.config.settings.env import FileEnv


def s3_settings(env: FileEnv) -> tuple[dict[str, Any], list[str]]:
    """Django's entry for a bucket and the origins to which browsers send parts; both empty where none is named."""
    bucket = env.str("TOUCHSTONE_S3_BUCKET", default="")
    if not bucket:
        return {}, []
    key, secret = env.str("TOUCHSTONE_S3_KEY", default=""), env.str("TOUCHSTONE_S3_SECRET", default="")
    if not key or not secret:
        raise ImproperlyConfigured(
            "TOUCHSTONE_S3_BUCKET needs TOUCHSTONE_S3_KEY and TOUCHSTONE_S3_SECRET, or TOUCHSTONE_S3_SECRET_FILE."
        )
    url = env.str("TOUCHSTONE_S3_URL", default="").rstrip("/")
    region = env.str("TOUCHSTONE_S3_REGION", default="") or "us-east-1"
    options = {
        "bucket": bucket, "key": key, "secret": secret, "url": url, "region": region,
        "public_url": env.str("TOUCHSTONE_S3_PUBLIC_URL", default="").rstrip("/"),
        "prefix": env.str("TOUCHSTONE_S3_PREFIX", default=""),
        "direct": env.bool("TOUCHSTONE_S3_DIRECT", default=True),
    }  # fmt: skip
    reached = options["public_url"] or url or f"https://{bucket}.s3.{region}.amazonaws.com"
    parts = urlsplit(reached)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImproperlyConfigured("TOUCHSTONE_S3_URL and TOUCHSTONE_S3_PUBLIC_URL must be http or https URLs.")
    origins = [f"{parts.scheme}://{parts.netloc}"] if options["direct"] else []
    return {"BACKEND": "touchstone.core.s3.S3Storage", "OPTIONS": options}, origins
