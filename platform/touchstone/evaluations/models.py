"""Runs: the evaluation of one submission in one phase, their history and results, and the nodes."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from touchstone.competitions.models import Competition
from touchstone.core.fields import PairsField
from touchstone.submissions.models import Submission


class RunStatus(models.TextChoices):
    """Legal moves are in `state.py` and nowhere else."""

    RECEIVED = "received"
    CHECKING = "checking"
    QUEUED = "queued"
    RUNNING = "running"
    SCORED = "scored"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Lane(models.IntegerChoices):
    """Runs of the quick lane take milliseconds and no sandbox, so they wait behind no others and need no slot."""

    QUICK = 0
    LONG = 1


class Node(models.Model):
    """A worker node. It holds a token of its own and no database credentials.

    `hello`: what it said about itself when it registered (`NodeHello`). A drained node takes no new run and finishes
    its own; a quarantined one too, by the server's own decision; a disabled one is refused. `faults` are the latest
    faults of its own, [{run, code, at}], since it last did its work; after each it rests until `rest_until`.
    `quick_streak`: runs of the quick lane that it took since its last long one.
    """

    name = models.CharField(max_length=100, unique=True)
    public = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)
    hello = models.JSONField(default=dict)
    seen_at = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(null=True)
    drained_at = models.DateTimeField(null=True)
    quarantined_at = models.DateTimeField(null=True)
    quarantine_reason = models.TextField(blank=True, default="", db_default="")
    faults = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    rest_until = models.DateTimeField(null=True)
    quick_streak = models.PositiveIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]


class Rerun(models.Model):
    """Submissions that organisers have evaluated again, together. `waiting` are the ids of those not yet begun.

    `what` says in words which were chosen; `skipped` counts those that had a run under way already.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="reruns")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=500)
    what = models.CharField(max_length=200, blank=True)
    waiting = models.JSONField(default=list)
    total = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["created_at"], condition=~models.Q(waiting=[]), name="rerun_waiting")]


class Run(models.Model):
    """One evaluation, in one or more attempts. `attempt` is the fencing number.

    A submission has one run, and another for each time that organisers had it evaluated again (`rerun`); the one that
    counts is `submission.run`. `metric_versions` maps each metric of the competition to what tells a change of it.

    `checks` and `faults` count intake checks begun and attempts that the platform lost; both have a cap.
    `reported_attempt` is the attempt whose report was taken, so a repeated report is known as such.

    `kind`, `cpus`, `memory`, `gpus` are what a node must have for it; `lane`, `priority`, `turn`, `share` its place in
    the queue (`services/queueing.py`), `charge` what that costs its share (`shares.py`); they are kept here so that a
    claim reads one table. `avoid`: a node that failed it, and gets it again only if no other can take it, or none has
    until `avoid_until`.

    `sample_log` is what it wrote before it met any secret input, `log` what it wrote then. `sample_end` and `log_end`
    count the characters ever added to them, and `log_epoch` rises when they begin anew: a reader who knows these
    three asks for what is new.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="runs")
    rerun = models.ForeignKey("Rerun", null=True, on_delete=models.SET_NULL, related_name="runs")
    status = models.CharField(max_length=10, choices=RunStatus, default=RunStatus.RECEIVED)
    queue = models.CharField(max_length=20, default="cpu")
    kind = models.CharField(max_length=12, default="", db_default="")
    lane = models.PositiveSmallIntegerField(choices=Lane, default=Lane.LONG, db_default=Lane.LONG.value)
    priority = models.SmallIntegerField(default=0, db_default=0)
    turn = models.FloatField(default=0, db_default=0)
    share = models.BigIntegerField(default=0, db_default=0, help_text="Key of the user whose turn it takes.")
    charge = models.FloatField(default=0, db_default=0, help_text="Seconds that it counts for in its share.")
    cpus = models.FloatField(default=0, db_default=0)
    memory = models.BigIntegerField(default=0, db_default=0, help_text="Bytes.")
    gpus = models.PositiveSmallIntegerField(default=0, db_default=0)
    attempt = models.PositiveSmallIntegerField(default=0)
    checks = models.PositiveSmallIntegerField(default=0)
    faults = models.PositiveSmallIntegerField(default=0)
    reported_attempt = models.PositiveSmallIntegerField(null=True)
    node = models.ForeignKey(Node, null=True, on_delete=models.SET_NULL, related_name="runs")
    avoid = models.ForeignKey(Node, null=True, on_delete=models.SET_NULL, related_name="+")
    avoid_until = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    deadline = models.DateTimeField(null=True, help_text="When the sweeper acts if nothing has happened.")
    not_before = models.DateTimeField(null=True, help_text="A pause before the next attempt.")
    cancel_requested = models.BooleanField(default=False)
    seed = models.BigIntegerField()
    verdict = models.CharField(max_length=20, blank=True)
    code = models.CharField(max_length=60, blank=True)
    message = models.TextField(blank=True)
    hint = models.TextField(blank=True)
    log = models.TextField(blank=True)
    sample_log = models.TextField(blank=True, default="", db_default="")
    log_epoch = models.PositiveIntegerField(default=0, db_default=0)
    log_end = models.BigIntegerField(default=0, db_default=0)
    sample_end = models.BigIntegerField(default=0, db_default=0)
    estimated_seconds = models.FloatField(null=True, help_text="What the sample said the whole run would take.")
    competition_version = models.PositiveIntegerField(null=True, help_text="Of the competition when it last began.")
    metric_versions = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    engine = models.JSONField(null=True)
    environment = models.JSONField(default=dict)
    stages = PairsField(help_text="Seconds of each stage, in their order.")
    peak_memory = models.BigIntegerField(null=True)
    counts_quota = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # The order of `queueing.ORDER`: a claim reads its first row, however many wait.
            models.Index(
                fields=["queue", "lane", "-priority", "turn", "queued_at", "id"],
                condition=models.Q(status="queued"),
                name="run_claim",
            ),
            models.Index(
                fields=["queue", "lane", "priority", "turn"],
                condition=models.Q(started_at__isnull=False),
                name="run_turns",
            ),
            # Runs that ended too: what somebody's last run took counts beyond its end.
            models.Index(fields=["share", "queue", "lane", "priority", "turn"], name="run_share"),
            models.Index(fields=["node"], condition=models.Q(status="running"), name="run_on_node"),
            models.Index(fields=["-finished_at"], condition=models.Q(status="scored"), name="run_scored_recent"),
            models.Index(
                fields=["deadline"],
                condition=models.Q(status__in=["received", "checking", "queued", "running"]),
                name="run_deadline",
            ),
        ]


class QueueTurn(models.Model):
    """How far fair queueing is (`shares.py`), in each class of runs: its clock, and where each person's next run comes.

    `share` is the key of a user, and 0 for the clock; `at` is None until the first run draws its turn.
    """

    queue = models.CharField(max_length=20)
    lane = models.PositiveSmallIntegerField(choices=Lane)
    priority = models.SmallIntegerField()
    share = models.BigIntegerField()
    at = models.FloatField(null=True, help_text="Seconds of service.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "lane", "priority", "share"], name="queue_turn_unique")]


class RunEvent(models.Model):
    """One line of a run's history; `sequence` rises within a run."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    sequence = models.PositiveIntegerField()
    attempt = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=12)  # status, stage, progress, log, note
    message = models.TextField()
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["run", "sequence"]
        constraints = [models.UniqueConstraint(fields=["run", "sequence"], name="event_sequence_unique")]


class Result(models.Model):
    """One metric value of one run. NaN never gets in."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="results")
    position = models.PositiveSmallIntegerField()
    key = models.CharField(max_length=200)
    metric = models.CharField(max_length=100)
    pillar = models.CharField(max_length=20)
    title = models.CharField(max_length=200)
    value = models.FloatField(null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    n = models.BigIntegerField(null=True)
    unit = models.CharField(max_length=30, blank=True)
    direction = models.CharField(max_length=10)
    state = models.CharField(max_length=20)
    reason = models.TextField(blank=True)
    parameters = models.JSONField(default=dict)
    details = models.JSONField(default=dict)
    seconds = models.FloatField(default=0)

    class Meta:
        ordering = ["run", "position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "key"], name="result_key_unique"),
            models.CheckConstraint(
                condition=models.Q(value__isnull=True)
                | (models.Q(value__gt=float("-inf")) & models.Q(value__lt=float("inf"))),
                name="result_value_finite",
            ),
        ]
