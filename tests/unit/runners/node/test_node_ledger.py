"""The runs of a node never use more together than there is; they begin in the order they came."""

import multiprocessing
import signal
from pathlib import Path

import pytest

from runners.contract import RunSpec
from runners.node.ledger import Ledger
from runners.spec.models import ResourceSpec, SubmissionKind


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.json", cpus=4, memory=8 * 2**30)


@pytest.fixture
def spec_of(run_spec: RunSpec):
    def make(run: str, *, cpus: float = 1, memory: int = 2**30, file: bool = False) -> RunSpec:
        kind = SubmissionKind.PREDICTIONS if file else SubmissionKind.CODE
        submission = run_spec.submission.model_copy(update={"kind": kind})
        resources = ResourceSpec(cpus=cpus, memory=memory)
        return run_spec.model_copy(update={"run": run, "submission": submission, "resources": resources})

    return make


@pytest.fixture
def others(ledger: Ledger):
    """Asks from another process: `ask(spec)` starts one, `again(n)` asks for it once more; each is (pid, answer)."""
    context, alive = multiprocessing.get_context("fork"), []

    def serve(spec: RunSpec, pipe) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            pipe.send(ledger.admit(spec))
            pipe.recv()

    class Others:
        def ask(self, spec: RunSpec) -> bool:
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(spec, theirs))
            process.start()
            alive.append((process, ours))
            return ours.recv()

        def again(self, index: int) -> bool:
            alive[index][1].send(1)
            return alive[index][1].recv()

        def kill(self, index: int) -> None:
            alive[index][0].kill()
            alive[index][0].join()

    yield Others()
    for process, _ in alive:
        process.kill()
        process.join()


def test_runs_begin_as_long_as_there_is_room(ledger: Ledger, spec_of, others) -> None:
    assert others.ask(spec_of("a", cpus=3))
    assert ledger.admit(spec_of("b", cpus=1))
    assert not others.ask(spec_of("c", cpus=1))
    assert ledger.neighbours("b") == 1
    ledger.leave()
    assert others.again(1)


def test_memory_counts_too(ledger: Ledger, spec_of, others) -> None:
    assert others.ask(spec_of("a", memory=6 * 2**30))
    assert not ledger.admit(spec_of("b", memory=3 * 2**30))


def test_a_large_run_is_not_overtaken_by_small_ones(ledger: Ledger, spec_of, others) -> None:
    assert others.ask(spec_of("a", cpus=2))
    assert not others.ask(spec_of("large", cpus=4))
    assert not ledger.admit(spec_of("small", cpus=1))
    others.kill(0)
    assert not ledger.admit(spec_of("small", cpus=1))
    assert others.again(1)


def test_a_run_that_wants_more_than_there_is_gets_the_machine_for_itself(ledger: Ledger, spec_of, others) -> None:
    assert others.ask(spec_of("huge", cpus=64))
    assert not ledger.admit(spec_of("b"))
    others.kill(0)
    assert ledger.admit(spec_of("b"))
    assert not others.ask(spec_of("huge", cpus=64))


def test_a_prediction_file_waits_for_nobody(ledger: Ledger, spec_of, others) -> None:
    assert others.ask(spec_of("a", cpus=4))
    assert not others.ask(spec_of("b", cpus=4))
    assert ledger.admit(spec_of("file", file=True))
    assert ledger.neighbours("file") == 1


def test_what_a_dead_process_had_is_free(ledger: Ledger, spec_of, others) -> None:
    assert others.ask(spec_of("a", cpus=4))
    assert not ledger.admit(spec_of("b", cpus=4))
    others.kill(0)
    assert ledger.admit(spec_of("b", cpus=4))
    assert ledger.neighbours("b") == 0


def test_the_next_run_of_a_process_replaces_its_last(ledger: Ledger, spec_of) -> None:
    assert ledger.admit(spec_of("a", cpus=4))
    assert ledger.admit(spec_of("a", cpus=4))
    assert ledger.admit(spec_of("b", cpus=4))


def test_a_damaged_ledger_begins_anew(ledger: Ledger, tmp_path: Path, spec_of) -> None:
    (tmp_path / "ledger.json").write_text('[{"run": "a", "ow')

    assert ledger.admit(spec_of("b"))


def test_a_run_that_waits_shuts_the_node_to_others_and_not_to_its_own_process(ledger: Ledger, spec_of, others) -> None:
    assert ledger.is_open()
    assert others.ask(spec_of("a", cpus=4))
    assert ledger.is_open()
    assert not ledger.admit(spec_of("b", cpus=1))
    assert ledger.is_open()
    assert ledger.is_crowded()
    assert not others.ask(spec_of("c", cpus=1))
    assert not ledger.is_open()
    others.kill(0)
    assert not ledger.is_crowded()
    assert ledger.admit(spec_of("b", cpus=1))
    assert not ledger.is_crowded()
