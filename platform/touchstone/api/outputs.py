"""What the answers look like: one serializer for each thing, and the functions that fill it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from touchstone.evaluations.models import Result
from touchstone.evaluations.validity import validity_of
from touchstone.submissions.models import Submission

KINDS = Submission.Kind.choices


class CredentialOut(serializers.Serializer[Any]):
    """What an endpoint wants to see of who asks it; its secret is never shown again."""

    name = serializers.CharField()
    header = serializers.CharField()
    host = serializers.CharField(allow_blank=True, help_text="Where it is sent; empty until it is first used.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class CredentialsOut(serializers.Serializer[Any]):
    """All of one's own, by name."""

    items = CredentialOut(many=True)


class FileOut(serializers.Serializer[Any]):
    """A file by content."""

    name = serializers.CharField()
    sha256 = serializers.RegexField(r"^[0-9a-f]{64}$")
    size = serializers.IntegerField(help_text="Bytes.")


class PhaseOut(serializers.Serializer[Any]):
    """A time window with its limits; null where there is none."""

    slug = serializers.CharField()
    title = serializers.CharField()
    state = serializers.ChoiceField(["upcoming", "open", "closed"])
    split = serializers.CharField(help_text="The data split that submissions are evaluated on.")
    opens = serializers.DateTimeField()
    closes = serializers.DateTimeField(allow_null=True)
    per_day = serializers.IntegerField(allow_null=True)
    total = serializers.IntegerField(allow_null=True)
    feedback = serializers.CharField()
    frozen_at = serializers.DateTimeField(
        allow_null=True, help_text="Since when it takes nothing and its boards stand still; null where it goes on."
    )
    frozen_reason = serializers.CharField(allow_blank=True)
    finalists_of = serializers.CharField(
        allow_null=True, help_text="The phase whose chosen submissions it takes, instead of new ones."
    )


class CompetitionSummaryOut(serializers.Serializer[Any]):
    """A competition as lists show it."""

    slug = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField(allow_blank=True)
    visibility = serializers.CharField()
    current_phase = serializers.CharField(allow_null=True, help_text="The first phase that is open.")
    joined = serializers.BooleanField()
    organiser = serializers.BooleanField()
    phases = PhaseOut(many=True)
    url = serializers.CharField(help_text="Its page.")


class SplitOut(serializers.Serializer[Any]):
    """A data split and the files of it that this caller may download."""

    name = serializers.CharField()
    visibility = serializers.CharField()
    digest = serializers.CharField()
    n_items = serializers.IntegerField()
    files = FileOut(many=True)


class BoardNameOut(serializers.Serializer[Any]):
    """Where a leaderboard is."""

    phase = serializers.CharField()
    slug = serializers.CharField()
    title = serializers.CharField()


class ConceptOut(serializers.Serializer[Any]):
    term = serializers.CharField()
    definition = serializers.CharField()
    source = serializers.CharField(allow_blank=True)


class PageOut(serializers.Serializer[Any]):
    slug = serializers.CharField()
    title = serializers.CharField()
    markdown = serializers.CharField(allow_blank=True)


class CompetitionOut(CompetitionSummaryOut):
    """A competition in full. `task`, `input`, `metrics`, `resources` are as in competition.yml, defaults filled in."""

    version = serializers.IntegerField()
    kinds = serializers.ListField(child=serializers.ChoiceField(KINDS))
    max_size = serializers.IntegerField(help_text="Largest artifact, bytes.")
    task = serializers.DictField()
    input = serializers.DictField(allow_null=True)
    attributes = serializers.DictField()
    aggregate = serializers.DictField(allow_null=True, help_text="How items of one cluster become one decision.")
    metrics = serializers.ListField(child=serializers.DictField())
    resources = serializers.DictField()
    root_images = serializers.BooleanField(help_text="Whether an image may name root as its user.")
    concepts = ConceptOut(many=True)
    pages = PageOut(many=True)
    splits = SplitOut(many=True)
    leaderboards = BoardNameOut(many=True)
    terms = serializers.CharField(allow_blank=True)
    data_card = serializers.CharField(allow_blank=True)
    starting_kit = serializers.CharField(allow_blank=True, help_text="SHA-256 of the zip; empty where there is none.")


class ParticipationOut(serializers.Serializer[Any]):
    competition = serializers.CharField()
    display_name = serializers.CharField()
    joined_at = serializers.DateTimeField()
    status = serializers.CharField(help_text="active; or pending, until an organiser approves; or removed.")


class ImportOut(serializers.Serializer[Any]):
    """What an import did. The same bundle again changes nothing."""

    competition = serializers.CharField()
    created = serializers.BooleanField()
    changed = serializers.BooleanField()
    version = serializers.IntegerField()
    url = serializers.CharField()


class PartOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    sha256 = serializers.CharField(allow_blank=True, help_text="Empty where the store holds the part itself.")
    size = serializers.IntegerField()
    etag = serializers.CharField(allow_blank=True, required=False, help_text="The store's tag of a part it holds.")


class PartUrlOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    url = serializers.CharField(help_text="PUT the part here, without any token; good for an hour.")


class UploadOut(serializers.Serializer[Any]):
    """An upload. Every part but the last has `part_size` bytes; numbers start at 1."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()
    part_size = serializers.IntegerField()
    expires_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)
    parts = PartOut(many=True, help_text="The parts held so far.")
    direct = serializers.BooleanField(help_text="Whether the parts may go straight to the file storage.")
    urls = PartUrlOut(many=True, help_text="Where the next missing parts may go; the GET gives fresh ones.")


class ExplanationOut(serializers.Serializer[Any]):
    """Why a run is as it is."""

    what = serializers.CharField(allow_blank=True)
    why = serializers.CharField(allow_blank=True)
    next = serializers.CharField(allow_blank=True)
    fault = serializers.CharField(help_text="Who has to act: you, organiser, platform or nobody.")


class EndpointOut(serializers.Serializer[Any]):
    """Where an endpoint is. The secret of its credential is nowhere in an answer."""

    url = serializers.CharField()
    model = serializers.CharField()
    credential = serializers.CharField(allow_blank=True, help_text="The name of the credential; empty: none.")


class ProvenanceOut(serializers.Serializer[Any]):
    """The job of a CI service that sent it, as the service vouches for it. Texts; empty where it says nothing."""

    provider = serializers.CharField(help_text="Such as GitHub.")
    issuer = serializers.CharField()
    repository = serializers.CharField()
    url = serializers.CharField(allow_blank=True, help_text="Of the repository.")
    commit = serializers.CharField(allow_blank=True)
    commit_url = serializers.CharField(allow_blank=True)
    ref = serializers.CharField(allow_blank=True)
    run = serializers.CharField(allow_blank=True)
    run_url = serializers.CharField(allow_blank=True)
    workflow = serializers.CharField(allow_blank=True, help_text="The file in the repository.")
    actor = serializers.CharField(allow_blank=True)
    environment = serializers.CharField(allow_blank=True)
    visibility = serializers.CharField(allow_blank=True, help_text="Of the repository.")


class SubmissionOut(serializers.Serializer[Any]):
    """A submission and the state of its run."""

    id = serializers.UUIDField()
    competition = serializers.CharField()
    phase = serializers.CharField()
    kind = serializers.ChoiceField(KINDS)
    participant = serializers.CharField()
    status = serializers.CharField(
        help_text="received, checking, queued, running; or final: scored, rejected, failed, cancelled."
    )
    final = serializers.BooleanField()
    attempt = serializers.IntegerField(help_text="0 before the first start.")
    name = serializers.CharField(allow_blank=True)
    chosen_at = serializers.DateTimeField(allow_null=True, help_text="Since when it is a finalist.")
    withdrawn_at = serializers.DateTimeField(allow_null=True, help_text="Since when it takes no part in the ranking.")
    withdrawn_reason = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    image = serializers.CharField(allow_blank=True)
    endpoint = EndpointOut(allow_null=True, help_text="Of kind endpoint; null for all others.")
    source = serializers.CharField()
    provenance = ProvenanceOut(allow_null=True, help_text="Null where no job of a CI service sent it.")
    files = FileOut(many=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    verdict = serializers.CharField(allow_blank=True)
    code = serializers.CharField(allow_blank=True)
    url = serializers.CharField()


class SubmissionDetailOut(SubmissionOut):
    """A submission with its place in the queue and, for a failure, the explanation."""

    queue_position = serializers.IntegerField(allow_null=True, help_text="From 1; null outside the queue.")
    estimated_start = serializers.DateTimeField(allow_null=True)
    estimated_seconds = serializers.FloatField(
        allow_null=True, help_text="How long the whole run takes, judged by the public sample; null before."
    )
    nodes_online = serializers.IntegerField(
        allow_null=True, help_text="Workers that could run it; null outside the queue."
    )
    explanation = ExplanationOut()
    stages = serializers.DictField(
        child=serializers.FloatField(), help_text="Seconds of each stage of the last attempt, in their order."
    )
    not_enforced = serializers.ListField(
        child=serializers.CharField(), help_text="Limits that the engine of this run could not enforce."
    )


class EventOut(serializers.Serializer[Any]):
    sequence = serializers.IntegerField(help_text="Rises within a run.")
    attempt = serializers.IntegerField()
    at = serializers.DateTimeField()
    kind = serializers.CharField(help_text="status, stage, progress, log or note.")
    message = serializers.CharField(allow_blank=True)
    data = serializers.DictField()


class EventPageOut(serializers.Serializer[Any]):
    """Events after a sequence number, and where the run stands. Ask again with `after` = `next_after`."""

    items = EventOut(many=True)
    next_after = serializers.IntegerField()
    status = serializers.CharField()
    final = serializers.BooleanField()
    queue_position = serializers.IntegerField(allow_null=True)


class MetricOut(serializers.Serializer[Any]):
    """One number of one run; `low` and `high` bound a 95 % interval, `reason` says why a value is null."""

    key = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    metric = serializers.CharField()
    pillar = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(allow_null=True)
    unit = serializers.CharField(allow_blank=True)
    direction = serializers.CharField(help_text="maximise, minimise, zero, one or none.")
    state = serializers.CharField(help_text="ok, undefined, too_few, not_applicable or failed.")
    reason = serializers.CharField(allow_blank=True)
    verdict = serializers.SerializerMethodField(
        help_text="Whether a number under attack may be believed: sound, suspect, broken or unchecked; else empty."
    )
    doubts = serializers.SerializerMethodField(help_text="The checks that speak against it.")
    parameters = serializers.DictField()
    details = serializers.DictField()

    def get_verdict(self, result: Result) -> str:
        return validity_of(result.details).verdict

    def get_doubts(self, result: Result) -> list[str]:
        return list(validity_of(result.details).doubts)


class ResultsOut(serializers.Serializer[Any]):
    """Results as far as the phase's feedback shows them; `note` says what is held back."""

    submission = serializers.UUIDField()
    status = serializers.CharField()
    final = serializers.BooleanField()
    feedback = serializers.CharField()
    note = serializers.CharField(allow_blank=True)
    items = MetricOut(many=True)


class QuotaOut(serializers.Serializer[Any]):
    """Submissions used and left in one phase; null where there is no limit."""

    competition = serializers.CharField()
    phase = serializers.CharField()
    per_day = serializers.IntegerField(allow_null=True)
    used_today = serializers.IntegerField()
    remaining_today = serializers.IntegerField(allow_null=True)
    total = serializers.IntegerField(allow_null=True)
    used_total = serializers.IntegerField()
    remaining_total = serializers.IntegerField(allow_null=True)
    resets_at = serializers.DateTimeField(help_text="When the next day (UTC) begins.")
    failures_per_day = serializers.IntegerField(
        allow_null=True, help_text="Submissions that may fail by their own fault on one day; they use no quota."
    )
    failed_today = serializers.IntegerField()


class TokenOut(serializers.Serializer[Any]):
    public = serializers.CharField(help_text="Names the token; not secret.")
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    origin = serializers.ChoiceField(
        ["page", "device", "ci"], help_text="Made by hand, by signing a program in, or for a job of a CI service."
    )
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class NewTokenOut(TokenOut):
    secret = serializers.CharField(help_text="The token itself. Shown in this answer only.")


class MeOut(serializers.Serializer[Any]):
    username = serializers.CharField()
    email = serializers.CharField(allow_blank=True)
    scopes = serializers.ListField(child=serializers.CharField())
    token = serializers.CharField(allow_null=True, help_text="Name of the token; null for a signed-in browser.")
    token_expires_at = serializers.DateTimeField(allow_null=True)


class _Page(serializers.Serializer[Any]):
    next = serializers.CharField(allow_blank=True, help_text="Cursor of the next page; empty at the end.")


class CompetitionPageOut(_Page):
    items = CompetitionSummaryOut(many=True)


class SubmissionPageOut(_Page):
    items = SubmissionOut(many=True)


class TokenPageOut(_Page):
    items = TokenOut(many=True)
