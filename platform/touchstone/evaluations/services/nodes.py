"""Worker nodes: how they are made known, and how they prove who they are."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from runners.contract import NodeHello, dump
from touchstone.accounts.tokens import token_make, token_matches, token_public
from touchstone.audit.services import audit_append
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, UserError
from touchstone.core.text import clean_json
from touchstone.evaluations.models import Node

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,99}$")


def node_create(*, name: str, replace: bool = False) -> tuple[Node, str]:
    """Make a node known. The second value is its token: shown now, and never again.

    `replace` gives a node that exists a new token; the old one stops working. Raises `UserError`, `Conflict`.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            _("%(name)r is not a node name.") % {"name": name},
            _("Use lower-case letters, digits, dots and dashes; 100 at most."),
        )
    fresh = token_make(prefix="tsn")
    try:
        with transaction.atomic():
            node = Node.objects.select_for_update().filter(name=name).first() if replace else None
            if node is None:
                node = Node.objects.create(name=name, public=fresh.public, digest=fresh.digest)
            else:
                node.public, node.digest, node.disabled_at = fresh.public, fresh.digest, None
                node.save(update_fields=["public", "digest", "disabled_at"])
            audit_append(actor=None, act="node.create", subject=f"node:{name}", data={"public": fresh.public})
    except IntegrityError:
        raise Conflict(
            _("A node %(name)r exists.") % {"name": name}, _("Choose another name, or replace its token.")
        ) from None
    return node, fresh.raw


def node_authenticate(*, raw: str) -> Node | None:
    """The node whose token `raw` is; None where it is unknown or disabled."""
    public = token_public(raw=raw, prefix="tsn")
    if public is None:
        return None
    node = Node.objects.filter(public=public, disabled_at=None).first()
    return node if node is not None and token_matches(raw=raw, digest=node.digest) else None


def node_register(*, node: Node, hello: NodeHello) -> None:
    """Note what a node says about itself. Its name is the one its token was made for."""
    node.hello = clean_json(dump(hello))
    node.seen_at = now()
    node.save(update_fields=["hello", "seen_at"])


def node_seen(*, node: Node) -> None:
    """Note that a node is alive."""
    Node.objects.filter(pk=node.pk).update(seen_at=now())
