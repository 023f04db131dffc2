"""Names of images in the platform's own registry: `<host>/<competition>/<namespace>/<name>@sha256:…`.

The namespace is the participant's user name as far as a registry allows it, and as far as nobody else pushed under it
before: the name alone says whose image it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from touchstone.accounts.models import User
from touchstone.registry.models import Namespace

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_COMPONENT = re.compile(_PART)
_HOST = r"(?:localhost|[a-z0-9.-]+\.[a-z0-9.-]+|[a-z0-9.-]+(?=:))(?::[0-9]{1,5})?"
_REPOSITORY = re.compile(rf"({_PART})/({_PART})/({_PART}(?:/{_PART}){{0,3}})")
_REFERENCE = re.compile(rf"({_HOST})/([a-z0-9][a-z0-9._/-]{{0,250}})@(sha256:[0-9a-f]{{64}})")
#: Namespaces of those whose user name no registry takes; no other namespace begins like this.
_NUMBERED = "user__"
_LONGEST = 160


@dataclass(frozen=True)
class Repository:
    """`<competition>/<namespace>/<name>`."""

    competition: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Reference:
    """An image in some registry, by its digest."""

    host: str
    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}@{self.digest}"


def namespace_of(*, user: User) -> str:
    """The user's own part of image names. Two users never share one: user names differ in more than their case."""
    name = user.username.lower()
    if not _COMPONENT.fullmatch(name) or len(name) > 60 or name.startswith(_NUMBERED):
        return f"{_NUMBERED}{user.pk}"
    # Whoever had this user name before, their images stay theirs.
    others = Namespace.objects.filter(name=name).exclude(user=user).exists()
    return f"{_NUMBERED}{user.pk}" if others else name


def namespace_claim(*, user: User) -> bool:
    """Make the user's namespace theirs for good, before anything is pushed there. False: somebody was faster."""
    name = namespace_of(user=user)
    if name.startswith(_NUMBERED):
        return True
    return Namespace.objects.get_or_create(name=name, defaults={"user": user})[0].user_id == user.pk


def namespace_user(*, namespace: str) -> User | None:
    """The user whose namespace it is."""
    number = namespace.removeprefix(_NUMBERED)
    if number != namespace:
        found = User.objects.filter(pk=int(number)).first() if number.isdecimal() and len(number) < 18 else None
    else:
        found = User.objects.filter(username__iexact=namespace).first()
    return found if found is not None and namespace_of(user=found) == namespace else None


def repository_parse(*, repository: str) -> Repository | None:
    """The parts of a repository's name; None where it is not one of a participant."""
    match = _REPOSITORY.fullmatch(repository) if len(repository) <= _LONGEST else None
    return Repository(match[1], match[2], match[3]) if match else None


def reference_parse(*, image: str) -> Reference | None:
    """An image that is named with its registry's host; None for one of the node's own engine (`sha256:…`)."""
    match = _REFERENCE.fullmatch(image)
    return Reference(match[1], match[2], match[3]) if match else None
