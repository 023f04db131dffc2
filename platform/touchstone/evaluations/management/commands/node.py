"""`manage.py node …`: the nodes, from the server's command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from touchstone.core.errors import UserError
from touchstone.evaluations.models import Node
from touchstone.evaluations.queue_selectors import NodeView, nodes_view
from touchstone.evaluations.services import (
    node_create,
    node_disable,
    node_drain,
    node_get,
    node_release,
    node_undrain,
)

_ACTS: dict[str, tuple[Callable[..., Node], str]] = {
    "drain": (node_drain, "no new runs; what it runs goes on"),
    "undrain": (node_undrain, "runs again"),
    "release": (node_release, "out of quarantine"),
    "disable": (node_disable, "refuse its token from now on"),
}
_COLUMNS = ("name", "state", "queues", "engines", "cpus", "memory", "gpus", "runs", "seen", "why")


class Command(BaseCommand):
    help = "Makes nodes known, lists them, and takes them out of work and back."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        create = acts.add_parser("create", help="make a node known and print its token, once")
        create.add_argument("name")
        create.add_argument("--replace", action="store_true", help="give a node that exists a new token")
        acts.add_parser("list", help="every node, one a line, tab-separated")
        for act, (_, text) in _ACTS.items():
            acts.add_parser(act, help=text).add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._do(options["act"], options)
        except UserError as error:
            raise CommandError(f"{error.message} {error.hint}") from error

    def _do(self, act: str, options: dict[str, Any]) -> None:
        if act == "list":
            self.stdout.write("\t".join(_COLUMNS))
            for view in nodes_view():
                self.stdout.write("\t".join(_cells(view)))
        elif act == "create":
            _, raw = node_create(name=options["name"], replace=options["replace"])
            self.stdout.write(raw)
        else:
            node = _ACTS[act][0](node=node_get(name=options["name"]))
            self.stdout.write(f"{node.name}: {_ACTS[act][1]}")


def _cells(view: NodeView) -> list[str]:
    node, hello = view.node, view.node.hello or {}
    engines = [f"{e['name']} ({e['isolation']})" if e.get("isolation") else e["name"] for e in _working(hello)]
    return [
        node.name,
        view.state,
        ",".join(hello.get("queues") or []) or "-",
        ", ".join(engines) or "-",
        str(hello.get("cpus") or "-"),
        f"{hello['memory'] / 2**30:.1f} GiB" if hello.get("memory") else "-",
        str(len(hello.get("gpus") or [])),
        f"{view.long_runs}/{view.slots}",
        node.seen_at.isoformat(timespec="seconds") if node.seen_at else "never",
        (node.quarantine_reason or "-").replace("\n", " "),
    ]


def _working(hello: dict[str, Any]) -> list[dict[str, Any]]:
    return [engine for engine in hello.get("engines") or [] if engine.get("ok")]
