"""Everything that writes runs and nodes."""

from touchstone.evaluations.services.checks import check_schedule, run_check
from touchstone.evaluations.services.claims import (
    Fenced,
    events_append,
    file_signed,
    lease_renew,
    run_claim,
)
from touchstone.evaluations.services.node_states import (
    may_manage_nodes,
    node_disable,
    node_drain,
    node_get,
    node_release,
    node_undrain,
)
from touchstone.evaluations.services.nodes import node_authenticate, node_create, node_register, node_seen
from touchstone.evaluations.services.reruns import (
    rerun_continue,
    rerun_seconds,
    reruns_continue,
    submission_rerun,
)
from touchstone.evaluations.services.results import ResultInvalid, result_accept, run_release
from touchstone.evaluations.services.runs import run_cancel, run_receive, spec_of
from touchstone.evaluations.services.sweeps import SweepReport, runs_sweep

__all__ = [
    "Fenced", "ResultInvalid", "SweepReport", "check_schedule", "events_append", "file_signed", "lease_renew",
    "may_manage_nodes", "node_authenticate", "node_create", "node_disable", "node_drain", "node_get",
    "node_register", "node_release", "node_seen", "node_undrain", "rerun_continue", "rerun_seconds",
    "reruns_continue", "result_accept", "run_cancel", "run_check", "run_claim", "run_receive", "run_release",
    "runs_sweep", "spec_of", "submission_rerun",
]  # fmt: skip
