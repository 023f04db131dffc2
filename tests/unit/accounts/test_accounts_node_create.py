"""`manage.py node_create`."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from touchstone.evaluations.models import Node
from touchstone.evaluations.services import node_authenticate

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> str:
    out = io.StringIO()
    call_command("node_create", *arguments, stdout=out)
    return out.getvalue().strip()


def test_prints_a_token_that_works() -> None:
    raw = create("gpu-1")

    assert raw.startswith("tsn_")
    assert node_authenticate(raw=raw).name == "gpu-1"
    assert raw not in str(Node.objects.values())


def test_a_second_node_of_the_name_needs_replace() -> None:
    old = create("gpu-1")
    with pytest.raises(CommandError, match="exists"):
        create("gpu-1")

    new = create("gpu-1", "--replace")

    assert node_authenticate(raw=old) is None
    assert node_authenticate(raw=new) is not None


def test_bad_name() -> None:
    with pytest.raises(CommandError, match="not a node name"):
        create("Bad Name")
