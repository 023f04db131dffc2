"""Competitions, their phases and data splits, and who takes part."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils import timezone


class Competition(models.Model):
    """One competition.yml as imported. `spec` is the validated file as JSON, the truth for everything below."""

    class Visibility(models.TextChoices):
        PUBLIC = "public"
        UNLISTED = "unlisted"
        PRIVATE = "private"

    slug = models.SlugField(max_length=64, unique=True)
    title = models.CharField(max_length=200)
    summary = models.CharField(max_length=500, blank=True)
    visibility = models.CharField(max_length=10, choices=Visibility)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="competitions")
    organisers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="organised_competitions", blank=True)
    spec = models.JSONField()
    source = models.TextField(help_text="competition.yml, byte for byte.")
    pages = models.JSONField(default=list, help_text="[{slug, title, markdown}], terms and data card included.")
    terms = models.TextField(blank=True)
    data_card = models.TextField(blank=True)
    starting_kit = models.CharField(max_length=64, blank=True, help_text="sha256 of a zip in storage.")
    image = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="sha256 of a picture in storage."
    )
    surrogates = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField()), help_text="[{name, sha256, size}]: for nodes."
    )
    bundle_digest = models.CharField(max_length=64)
    version = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField(
        null=True, default=timezone.now, db_default=Now(), help_text="None: only its organisers see it yet."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.slug


class DataSplit(models.Model):
    """A data split, addressed by content. `files` is [{name, sha256, size}] sorted by name."""

    class Visibility(models.TextChoices):
        PUBLIC = "public"
        INPUTS = "inputs"
        HIDDEN = "hidden"

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="splits")
    name = models.CharField(max_length=64)
    visibility = models.CharField(max_length=10, choices=Visibility)
    files = models.JSONField()
    digest = models.CharField(max_length=64)
    n_items = models.PositiveIntegerField()
    ids = models.CharField(max_length=64, help_text="sha256 of a JSON list of the item ids, for intake checks.")
    facts = models.JSONField(default=dict, help_text="Class and attribute counts, for the organiser.")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["competition", "name"], name="split_name_unique")]


class Phase(models.Model):
    """A time window in which submissions are evaluated on one split."""

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="phases")
    slug = models.SlugField(max_length=64)
    title = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField()
    split = models.ForeignKey(DataSplit, on_delete=models.PROTECT, related_name="phases")
    opens = models.DateTimeField()
    closes = models.DateTimeField(null=True)
    per_day = models.PositiveIntegerField(null=True)
    total = models.PositiveIntegerField(null=True)
    feedback = models.CharField(max_length=10)
    logs = models.CharField(max_length=10, default="auto", db_default="auto")
    priority = models.SmallIntegerField(default=0, db_default=0)
    frozen_at = models.DateTimeField(null=True, help_text="Since when organisers let nothing in and no board change.")
    frozen_reason = models.CharField(max_length=500, blank=True, default="", db_default="")
    published_at = models.DateTimeField(null=True, help_text="Since when the ranking of a phase of finalists is shown.")

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["competition", "slug"], name="phase_slug_unique")]


class TakingPartManager(models.Manager["Participation"]):
    """Those who take part."""

    def get_queryset(self) -> models.QuerySet[Participation]:
        return super().get_queryset().filter(is_check=False)


class Participation(models.Model):
    """A participant of a competition: one person, or a team. Its row is the lock under which quota is counted.

    `user` is who joined first, and speaks for a team. Only an `active` one submits; a pending one waits for an
    organiser's approval; of a removed one the submissions stay.

    Of one that `is_check` are the made-up submissions that a competition is checked with: `objects` and
    `competition.participations` leave it out.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        ACTIVE = "active"
        REMOVED = "removed"

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="participations")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="participations")
    display_name = models.CharField(max_length=100)
    is_baseline = models.BooleanField(default=False)
    status = models.CharField(
        max_length=10, choices=Status, default=Status.ACTIVE, db_default=models.Value(Status.ACTIVE.value)
    )
    status_reason = models.CharField(max_length=500, blank=True, default="", db_default="")
    is_check = models.BooleanField(default=False, db_default=False)
    joined_at = models.DateTimeField(auto_now_add=True)

    objects = TakingPartManager()
    everyone: models.Manager[Participation] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["competition", "user"], name="participation_unique"),
            models.UniqueConstraint("competition", Lower("display_name"), name="participation_name_unique"),
        ]


class PresentManager(models.Manager["Member"]):
    """Who is a member now."""

    def get_queryset(self) -> models.QuerySet[Member]:
        return super().get_queryset().filter(left_at=None)


class Member(models.Model):
    """A person of a participant, its founder included. One is in one team of a competition at most.

    Who left a team that had submitted keeps a row with `left_at`: they cannot begin anew with another quota. `objects`
    and `participation.members` leave those out; a filter across tables does not, so begin one at `Member.objects`.
    """

    participation = models.ForeignKey(Participation, on_delete=models.CASCADE, related_name="members")
    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    joined_at = models.DateTimeField(auto_now_add=True)
    left_at = models.DateTimeField(null=True)
    news_read_at = models.DateTimeField(null=True, help_text="When they last looked at the announcements.")

    objects = PresentManager()
    everyone: models.Manager[Member] = models.Manager()

    class Meta:
        ordering = ["joined_at", "pk"]
        constraints = [models.UniqueConstraint(fields=["competition", "user"], name="member_unique")]


class Invitation(models.Model):
    """An invitation by link. `digest` is the SHA-256 of the secret in the link, hex; the secret is not kept.

    A `teammate` joins `participation`. `email` is whom it was meant for, and empty for a link that anybody may use
    once.
    """

    class Role(models.TextChoices):
        PARTICIPANT = "participant"
        ORGANISER = "organiser"
        TEAMMATE = "teammate"

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="invitations")
    participation = models.ForeignKey(Participation, null=True, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=12, choices=Role)
    email = models.EmailField(blank=True)
    digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]


class Announcement(models.Model):
    """Something organisers tell everybody, or, with a `participation`, that one alone.

    `mail_from`: with `mail_wanted`, the key of the last person that its e-mail was handed to; `mailed_at`: since when
    it went to all.
    """

    class Audience(models.TextChoices):
        EVERYBODY = "everybody"
        PARTICIPANTS = "participants"

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="announcements")
    participation = models.ForeignKey(Participation, null=True, on_delete=models.CASCADE, related_name="messages")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    audience = models.CharField(
        max_length=12, choices=Audience, default=Audience.EVERYBODY, db_default=models.Value(Audience.EVERYBODY.value)
    )
    title = models.CharField(max_length=200)
    markdown = models.TextField()
    mail_wanted = models.BooleanField(default=False, db_default=False)
    mail_from = models.BigIntegerField(default=0, db_default=0)
    mailed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(mail_wanted=True, mailed_at=None),
                name="announcement_unmailed",
            )
        ]
