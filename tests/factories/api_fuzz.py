"""Made-up requests to every operation of the REST interface, through the whole server, each rolled back.

What is sent comes from the published schema, right and wrong; ids are those of the example world in most cases, so that
views are tested and not the routing alone. schemathesis is used as a library: its pytest plugin would cost every
collection a second.
"""

from __future__ import annotations

import copy
import random
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.factories.example_world import ExampleWorld
from touchstone.api.examples import Example, examples
from touchstone.api.views.schema import schema_document

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, negative_data_rejection,
]  # fmt: skip
#: A stream is described as the text that it is; schemathesis takes each of its events for the answer.
NOT_OF = {"submissions_stream": [response_schema_conformance]}
ACTORS = ("participant", "organiser", "staff", "stranger", "anonymous")
#: What replaces a value of an example, one at a time.
ODD: tuple[Any, ...] = (
    None, "", " ", "\x00", "a" * 5000, -1, 0, 10**30, 1.5, True, [], {}, [None], ["x"], {"a": {"b": []}},
    "../x", "\u202e",
)  # fmt: skip

ODD_WORDS = ("", "\x00", "-1", "9" * 30, "1e5", "ä", "\u202e", "a" * 3000, "%00", "--rank", "2026-13-01")


@dataclass
class Findings:
    """What was answered, by operation; and what was wrong, by operation and kind."""

    answers: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    faults: dict[tuple[str, str], str] = field(default_factory=dict)

    def refused_always(self) -> list[str]:
        """Operations that never said yes."""
        return sorted(
            name for name, counts in self.answers.items() if not any(200 <= status < 300 for status in counts)
        )

    def text(self) -> str:
        return "\n\n".join(f"{name}: {kind}\n{told}" for (name, kind), told in sorted(self.faults.items()))


def _closing(app: Any) -> Any:
    """The same application, whose answers are read to their end and closed, as a server does."""

    def closing(environ: dict[str, Any], start: Any) -> list[bytes]:
        answer = app(environ, start)
        try:
            return [b"".join(answer)]
        finally:
            answer.close()

    return closing


class Fuzz:
    """Sends cases as one of several people and notes what is wrong with the answers."""

    def __init__(self, world: ExampleWorld) -> None:
        self.world, self.found = world, Findings()
        self.schema = schemathesis.openapi.from_dict(copy.deepcopy(schema_document()))
        self.app = _closing(get_wsgi_application())
        self.operations = {
            each.ok().definition.raw["operationId"]: each.ok() for each in self.schema.get_all_operations()
        }

    def example(self, name: str) -> Example:
        return examples().get(name, Example())

    def who(self, actor: str) -> dict[str, dict[str, str]]:
        """How somebody shows who they are; `browser` is the participant, signed in."""
        if actor == "anonymous":
            return {}
        if actor != "browser":
            return {"headers": {"Authorization": f"Bearer {self.world.tokens[actor]}"}}
        client = Client()
        client.force_login(self.world.people["participant"])
        token = "f" * 32
        cookies = {name: morsel.value for name, morsel in client.cookies.items()}
        return {"headers": {"X-CSRFToken": token}, "cookies": {**cookies, "csrftoken": token}}

    @contextmanager
    def one_connection(self) -> Iterator[None]:
        """Requests use the test's own connection, in whose transaction the world is."""
        for signal in (request_started, request_finished):
            signal.disconnect(close_old_connections)
        try:
            yield
        finally:
            for signal in (request_started, request_finished):
                signal.connect(close_old_connections)

    def send(self, name: str, case: Any, actor: str) -> Any:
        """The answer; what it changed is undone. A fault is noted once for each kind."""
        who = self.who(actor)
        cache.clear()
        answer = None
        with self.one_connection(), transaction.atomic():
            try:
                answer = case.call(app=self.app, base_url="http://localhost", **who)
                self.found.answers[name][answer.status_code] += 1
                connection.check_constraints()
                case.validate_response(
                    answer, checks=CHECKS, excluded_checks=NOT_OF.get(name), headers=who.get("headers")
                )
            except (FailureGroup, Failure) as error:
                for each in getattr(error, "exceptions", [error]):
                    told = f"as {actor}: {case.as_curl_command()[:1500]}\n{each}"
                    self.found.faults.setdefault((name, type(each).__name__), told[:4000])
            except Exception as error:
                told = f"as {actor}: {''.join(traceback.format_exception(error))[-3000:]}"
                self.found.faults.setdefault((name, type(error).__name__), told)
            transaction.set_rollback(True)
        return answer

    def send_example(self, name: str, **changes: Any) -> Any:
        """The example of an operation, by who may; `changes` replace its parts."""
        example, operation = self.example(name), self.operations[name]
        path = dict(example.path)
        if name == "tokens_revoke":
            path["public"] = self.world.tokens["participant"].split("_")[1]
        parts: dict[str, Any] = {"path_parameters": path, "query": example.query, "headers": example.headers}
        if example.request is not None:
            parts["body"] = example.request.encode() if isinstance(example.request, str) else example.request
            parts["media_type"] = next(iter(operation.definition.raw["requestBody"]["content"]))
        actor = changes.pop("actor", example.actor)
        return self.send(name, operation.Case(**copy.deepcopy(parts | changes)), actor)

    def send_odd(self, name: str, *, most: int) -> None:
        """The example with one value replaced at a time; `most` of the values at each place, other ones each time."""
        example = self.example(name)
        turn = random.Random(name)
        if isinstance(example.request, dict):
            for key in [*example.request, "unknown"]:
                for odd in turn.sample(ODD, min(most, len(ODD))):
                    self.send_example(name, body={**example.request, key: odd})
        for key in self.query_names(name):
            for odd in turn.sample(ODD_WORDS, min(most, len(ODD_WORDS))):
                self.send_example(name, query={**example.query, key: odd})

    def query_names(self, name: str) -> list[str]:
        given = self.operations[name].definition.raw.get("parameters", [])
        return [each["name"] for each in given if each["in"] == "query"]

    def send_made_up(self, name: str, *, cases: int, number: int) -> None:
        """Right and wrong data; three of four cases with the ids of the example."""
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for path, share in ((self.example(name).path, 3), (None, 1)):
                if path is None and not self.example(name).path:
                    continue
                strategy = self.operations[name].as_strategy(generation_mode=mode, path_parameters=path)
                self._run(name, strategy, max(1, cases * share // 8), number)

    def _run(self, name: str, strategy: Any, cases: int, number: int) -> None:
        actors = st.sampled_from((self.example(name).actor, *ACTORS))

        @seed(number)
        @settings(
            max_examples=cases, database=None, deadline=None, phases=[Phase.generate], derandomize=False,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=strategy, actor=actors)
        def one(case: Any, actor: str) -> None:
            self.send(name, case, actor)

        try:
            one()
        except HypothesisException:  # nothing of that kind can be made: there is nothing to get wrong
            return
