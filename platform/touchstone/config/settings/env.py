"""Where settings come from: the environment, or for a secret a file that the environment names.

`TOUCHSTONE_SECRET_KEY_FILE=/run/secrets/secret_key` stands for `TOUCHSTONE_SECRET_KEY`, and so for every other setting:
what is in a file is in no process list, no `docker inspect` and no crash report.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping


class SecretFiles(FileAwareMapping):
    """The environment; NAME_FILE, where it is set, wins over NAME. White space around a file's content is dropped."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        super().__init__(env=env, cache=False)

    def __getitem__(self, key: str) -> str:
        named = self.env.get(f"{key}_FILE")
        if not named:
            return str(self.env[key])
        try:
            return Path(named).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{key}_FILE names {named}, which cannot be read: {error.strerror}. Make the file readable for the "
                f"user that runs Touchstone, or set {key} itself."
            ) from error


class FileEnv(environ.Env):
    """`environ.Env` on `SecretFiles`."""

    ENVIRON = SecretFiles()
