"""The two logs of a run: what gets in, what is taken out, and what a reader has not seen yet."""

from __future__ import annotations

import pytest

from runners.contract import EventBatch, RunEvent
from tests.factories.server import competition_make, node_make, queued_run, result_make
from touchstone.accounts.tokens import token_make
from touchstone.evaluations.logs import LogPlace, logs_after, printable, redacted
from touchstone.evaluations.models import Run
from touchstone.evaluations.selectors import logs_shown, run_log, run_view
from touchstone.evaluations.services import events_append, result_accept, run_claim

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nAAAA==\n-----END RSA PRIVATE KEY-----"


def test_what_steers_a_terminal_is_taken_out() -> None:
    assert printable("a\x1b[31mred\x1b[0m\x1b]0;title\x07 b\r\nc\rd\x00\x07\u202e") == "ared b\nc\nd\ufffd\ufffd\ufffd"


@pytest.mark.parametrize("prefix", ["ts", "tsn"])
def test_tokens_are_taken_out(prefix: str) -> None:
    raw = token_make(prefix=prefix).raw

    assert redacted(f"token={raw}!") == "token=[a token was removed here]!"
    assert redacted("tests_are_fine ts_short") == "tests_are_fine ts_short"


def test_private_keys_are_taken_out_in_one_piece_or_many() -> None:
    assert redacted(f"a {KEY} b {KEY} c") == "a [a private key was removed here] b [a private key was removed here] c"
    for cut in range(len("a -----BEGIN RSA PRIVATE KEY-----"), len(KEY), 7):
        log = ""
        for piece in (("a " + KEY)[:cut], ("a " + KEY)[cut:], " b"):
            log += redacted(piece, before=log)
        assert "MIIE" not in log
        assert "AAAA" not in log
        assert log.startswith("a [a private key was removed here")
        assert log.endswith(" b")


def log(text: str, *, public: bool = False) -> RunEvent:
    return RunEvent(at="x", kind="log", message=text, data={"public": public})


@pytest.fixture
def running(db):
    run = queued_run()
    node = node_make()
    run_claim(node=node, queue="cpu", kinds=["predictions"])

    def add(*events: RunEvent) -> Run:
        events_append(node=node, run_id=run.pk, attempt=1, batch=EventBatch(events=events))
        return Run.objects.get(pk=run.pk)

    def report(**fields) -> Run:
        result_accept(node=node, result=result_make(Run.objects.get(pk=run.pk), **fields))
        return Run.objects.get(pk=run.pk)

    return add, report


def test_increments_go_to_their_log(running) -> None:
    add, _ = running

    run = add(log("load", public=True), log("ing\n", public=True), log("answ"))
    run = add(log("ering\n"))

    assert (run.sample_log, run.log) == ("loading\n", "answering\n")
    assert (run.sample_end, run.log_end) == (8, 10)
    assert run_log(run=run, user=run.submission.phase.competition.owner) == "loading\nanswering\n"


def test_the_report_goes_on_where_the_live_log_was(running) -> None:
    add, report = running
    before = add(log("loading\n", public=True), log("one\n"))

    run = report(log="loading\none\ntwo\n", sample_log="loading\n", estimated_seconds=12.5)

    assert (run.sample_log, run.log, run.log_epoch) == ("loading\n", "one\ntwo\n", before.log_epoch)
    assert run.estimated_seconds == 12.5
    pieces, _ = logs_after(run=run, place=LogPlace(before.log_epoch, 8, 4), sample=True, whole=True)
    assert [(p.part, p.text, p.anew) for p in pieces] == [("run", "two\n", False)]


def test_a_report_that_says_something_else_begins_anew(running) -> None:
    add, report = running
    before = add(log("one\n"))

    run = report(log="[cut]\nend\n")

    pieces, place = logs_after(run=run, place=LogPlace(before.log_epoch, 0, 4), sample=True, whole=True)
    assert [(p.part, p.text, p.anew) for p in pieces] == [("run", "[cut]\nend\n", True)]
    assert place == LogPlace(before.log_epoch, 0, 15)
    assert logs_after(run=run, place=place, sample=True, whole=True)[0] == []


def test_an_empty_report_keeps_what_was_told(running) -> None:
    add, report = running
    add(log("loading\n", public=True), log("one\n"))

    run = report(log="", sample_log="")

    assert (run.sample_log, run.log) == ("loading\n", "one\n")


def test_a_reader_who_is_far_behind_gets_what_is_kept(running) -> None:
    add, _ = running
    add(log("a" * 2**20))
    run = add(log("b" * 10))

    pieces, _ = logs_after(run=run, place=LogPlace(run.log_epoch, 0, 5), sample=True, whole=True)

    assert pieces[0].anew
    assert pieces[0].text.startswith("[earlier lines cut]")
    assert logs_after(run=run, place=LogPlace(run.log_epoch, 0, run.log_end), sample=True, whole=True)[0] == []


@pytest.mark.parametrize(
    ("logs", "feedback", "visibility", "sample", "whole"),
    [
        ("auto", "full", "hidden", True, True),
        ("auto", "none", "hidden", True, False),
        ("auto", "rounded", "hidden", True, False),
        ("auto", "none", "inputs", True, True),
        ("full", "none", "hidden", True, True),
        ("sample", "full", "public", True, False),
        ("none", "full", "public", False, False),
    ],
)
@pytest.mark.django_db
def test_who_sees_which_log(logs: str, feedback: str, visibility: str, sample: bool, whole: bool) -> None:
    phases = [
        {"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "feedback": feedback, "logs": logs},
    ]  # fmt: skip
    data = {"test": {"path": "data/test", "visibility": visibility}}
    run = queued_run(competition_make(phases=phases, data=data), sample_log="of the sample", log="of the run")
    person, owner = run.submission.participation.user, run.submission.phase.competition.owner

    view = run_view(run=run, user=person)

    assert (bool(view.sample_log), bool(view.log)) == (sample, whole)
    assert bool(logs_shown(run=run, user=person).reason) is not whole
    assert ("of the run" in run_log(run=run, user=person)) is whole
    assert run_log(run=run, user=person, part="sample") == ("of the sample" if sample else "")
    assert run_log(run=run, user=owner) == "of the sample\nof the run"


@pytest.mark.parametrize("step", [1, 5, 30, 45])
@pytest.mark.parametrize(
    ("secret", "hidden"),
    [
        ((raw := token_make(prefix="ts").raw), raw[-20:]),
        ("eyJhbGciOiJIUzI1.eyJhbGciOiJIUzI2.signature-here-and-there", "and-there"),
        (KEY, "MIIE"),
        (KEY, "AAAA"),
    ],
    ids=["token", "signed", "key-begins", "key-goes-on"],  # a token is drawn anew by each worker
)
def test_a_secret_in_pieces_is_taken_out(running, secret: str, hidden: str, step: int) -> None:
    add, _ = running
    text = f"first\nx={secret}\nlast\n"
    told, place = "", LogPlace(Run.objects.get().log_epoch)
    for at in range(0, len(text), step):
        run = add(log(text[at : at + step]))
        pieces, place = logs_after(run=run, place=place, sample=True, whole=True)
        told += "".join(piece.text for piece in pieces)

    for kept in (run.log, told):
        assert kept.startswith("first\nx=")
        assert "last\n" in kept
        assert "was removed here" in kept
        assert hidden not in kept
    assert secret[:12] not in run.log
    assert len(told) == len(run.log) == run.log_end
