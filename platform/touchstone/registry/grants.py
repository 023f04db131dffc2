"""Who may do what with which repository: the answer is a list for the token, and less than was asked is no error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.core import signing

from touchstone.accounts.models import User
from touchstone.competitions.selectors import participations_of
from touchstone.evaluations.models import Run, RunStatus
from touchstone.registry.names import namespace_claim, namespace_of, repository_parse
from touchstone.registry.selectors import push_place

#: The user name with which nodes come; their password is a key for one attempt.
NODE = "node"
_SALT = "touchstone.registry-pull"
_SCOPE = re.compile(r"repository:([a-z0-9/._-]{1,255}):([a-z*,]{1,40})")
_MOST_SCOPES = 20
Access = list[dict[str, Any]]


def scopes_read(*, scopes: Iterable[str]) -> list[tuple[str, frozenset[str]]]:
    """(repository, actions) of each scope a client asks for; what is not about a repository is left out."""
    found = []
    for scope in [part for text in scopes for part in text.split()][:_MOST_SCOPES]:
        match = _SCOPE.fullmatch(scope)
        if match:
            found.append((match[1], frozenset(match[2].split(","))))
    return found


def person_access(*, user: User, scopes: Iterable[str], reach: frozenset[str] | None = None) -> Access:
    """What a participant gets: pull and push in their own namespace of competitions they joined.

    Push only where the competition takes containers, a phase is open, and their bytes are not used up. `reach`: the
    competitions that their token is limited to.
    """
    access: Access = []
    for repository, asked in scopes_read(scopes=scopes):
        parts = repository_parse(repository=repository)
        if parts is None or parts.namespace != namespace_of(user=user):
            continue
        if reach is not None and parts.competition not in reach:
            continue
        joined = participations_of(user=user).filter(competition__slug=parts.competition)
        participation = joined.select_related("competition", "user").first()
        if participation is None:
            continue
        allowed = {"pull"} if push_place(participation=participation, user=user).why_not else {"pull", "push"}
        if "push" in asked & allowed and not namespace_claim(user=user):
            continue
        if asked & allowed:
            access.append({"type": "repository", "name": repository, "actions": sorted(asked & allowed)})
    return access


def node_key(*, run: Run, repository: str) -> str:
    """The password with which the node that has the run's present attempt pulls from one repository."""
    return signing.dumps([str(run.pk), run.attempt, repository], salt=_SALT)


def node_access(*, key: str, scopes: Iterable[str]) -> Access | None:
    """What the holder of a node's key gets: pull from its repository, while its attempt runs. None: no such key."""
    try:
        run_id, attempt, repository = signing.loads(key, salt=_SALT)
    except (signing.BadSignature, ValueError):
        return None
    if not Run.objects.filter(pk=run_id, attempt=attempt, status=RunStatus.RUNNING).exists():
        return None
    asked = any(name == repository and "pull" in actions for name, actions in scopes_read(scopes=scopes))
    return [{"type": "repository", "name": repository, "actions": ["pull"]}] if asked else []
