"""Users and API tokens, and how programs come to a token. Of every secret only a digest is kept."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower


class User(AbstractUser):
    """A person. Signs in by user name; name and `email` are unique, without regard to case."""

    email = models.EmailField("e-mail address")

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique"),
            models.UniqueConstraint(Lower("username"), name="user_name_unique"),
        ]


class ApiToken(models.Model):
    """`ts_<public>_<secret>`: `public` finds the row, `digest` is SHA-256 of the whole token, hex.

    `provenance` says for which job of a CI service it was made; see `accounts.claims`.
    """

    class Origin(models.TextChoices):
        """How it was made."""

        PAGE = "page"
        DEVICE = "device"
        CI = "ci"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    public = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)  # see accounts.scopes
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.PAGE, db_default=Origin.PAGE)
    provenance = models.JSONField(default=dict, db_default={})
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]


class DeviceGrant(models.Model):
    """A program that waits for somebody to sign it in, from the first question to the token's delivery.

    `device` is SHA-256 of the code that the program keeps, `code` a keyed digest of the short one that people compare:
    so few letters could be guessed from a plain digest. The token is made when it is fetched, so it is never kept.
    """

    class State(models.TextChoices):
        """Denied and delivered are final."""

        PENDING = "pending"
        APPROVED = "approved"
        DENIED = "denied"
        DELIVERED = "delivered"

    device = models.CharField(max_length=64, unique=True)
    code = models.CharField(max_length=64, unique=True)
    client = models.CharField(max_length=60)
    address = models.CharField(max_length=64, blank=True)
    scopes = models.JSONField(default=list)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")  # who answered
    days = models.PositiveSmallIntegerField(default=90)
    interval = models.PositiveSmallIntegerField(default=5)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    polled_at = models.DateTimeField(null=True)


class TrustedPublisher(models.Model):
    """Jobs of a CI service that may submit to one competition as `user`, without a stored secret.

    `repository_id` and `owner_id` are the service's numbers, which nobody else can register again; `repository` is
    its name when the trust was made, and only shown. Empty `environment` and `ref`: any.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="trusted_publishers")
    competition = models.ForeignKey("competitions.Competition", on_delete=models.CASCADE, related_name="+")
    issuer = models.CharField(max_length=200)
    repository = models.CharField(max_length=200)
    repository_id = models.CharField(max_length=64)
    owner_id = models.CharField(max_length=64)
    workflow = models.CharField(max_length=200)
    environment = models.CharField(max_length=100, blank=True, default="")
    ref = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["issuer", "repository_id"], name="trust_by_repository")]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "competition", "issuer", "repository_id", "workflow", "environment", "ref"],
                name="trust_once",
            )
        ]


class OidcUse(models.Model):
    """An ID token that was exchanged; kept until it has expired, so that it is never taken twice."""

    issuer = models.CharField(max_length=200)
    jti = models.CharField(max_length=200)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "jti"], name="oidc_use_once")]
