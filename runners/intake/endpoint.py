"""Looks at an endpoint: is it there, does it say what it is, and does it answer one question as it must?

The question is made up: no item of any split has a part in it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from runners.contract import EndpointRef
from runners.errors import ParticipantFault, RetryableError
from runners.intake.report import IntakeReport
from runners.models._usage import Usage
from runners.models.endpoint import open_endpoint
from runners.outbound import Reach
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec

#: What an endpoint may take for all of it. A run gives it more; who waits here waits for an answer on a page.
_SECONDS = 45.0
_ITEMS = 2


def check_endpoint(
    path: Path, *, task: TaskSpec, input_spec: InputSpec | None, resources: ResourceSpec
) -> IntakeReport:
    """Judge an endpoint by {"at": `EndpointRef`, "allow": networks, "ca": file} in `path`.

    Raises OSError where this machine cannot look its name up, which says nothing about the endpoint.
    """
    report = IntakeReport(facts={})
    if input_spec is None:
        report.note("no_input", "the competition says nothing of its input", hint="Ask the organisers.")
        return report
    given = json.loads(path.read_bytes())
    at = EndpointRef.model_validate(given["at"])
    reach = Reach(tuple(given["allow"]), Path(given["ca"]) if given["ca"] else None)
    low, high = input_spec.range
    x = np.full((_ITEMS, *input_spec.shape), (low + high) / 2, dtype=np.float32)
    usage = Usage(most=_ITEMS * (1 + at.budget.retries))
    deadline = time.monotonic() + _SECONDS
    quick = resources.model_copy(update={"start": min(resources.start, _SECONDS), "time": _SECONDS})
    try:
        model = open_endpoint(
            at, usage=usage, reach=reach, input=input_spec, task=task, resources=quick, deadline=deadline
        )
        try:
            model.predict(x)
        finally:
            model.close()
    except ParticipantFault as fault:
        report.note(fault.code, fault.message, hint=fault.hint)
    except RetryableError as error:
        raise OSError(error.message) from error
    report.facts |= {"seconds": round(_SECONDS - (deadline - time.monotonic()), 3)}
    return report
