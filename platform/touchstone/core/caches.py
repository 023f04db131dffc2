"""The cache of an installation with several server processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)


class SoftRedisCache(RedisCache):
    """Redis, and while it is away a cache that holds nothing: it is no reason to answer nobody.

    What counts in it (tries to sign in, requests a minute) is not limited then.
    """

    def add(self, *args: Any, **options: Any) -> bool:
        return bool(self._softly(super().add, True, args, options))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._softly(super().get, default, (key, default, version), {})

    def set(self, *args: Any, **options: Any) -> None:
        self._softly(super().set, None, args, options)

    def delete(self, *args: Any, **options: Any) -> bool:
        return bool(self._softly(super().delete, False, args, options))

    def incr(self, *args: Any, **options: Any) -> int:
        found = self._softly(super().incr, None, args, options)
        if found is None:
            raise ValueError("the cache is away")  # as for a key that is not there
        return int(found)

    @staticmethod
    def _softly(call: Callable[..., Any], otherwise: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        try:
            return call(*args, **options)
        except RedisError as error:
            log.warning("cache.unreachable", error=f"{type(error).__name__}: {error}")
            return otherwise
