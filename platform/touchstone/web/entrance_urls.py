"""Addresses of sign-up, sign-in and what protects an account: ours first, the rest allauth's.

They have no namespace, for allauth names them so.
"""

from __future__ import annotations

from allauth.urls import build_provider_urlpatterns
from django.urls import include, path

from touchstone.web.views import account, entrance

urlpatterns = [
    path("signup/", account.signup, name="account_signup"),
    path("login/", account.SignIn.as_view(), name="account_login"),
    path("logout/", account.signout, name="account_logout"),
    path("email/", entrance.EmailAddresses.as_view(), name="account_email"),
    path("", include("allauth.account.urls")),
    path("2fa/", include("allauth.mfa.urls")),
    path("connections/", include("allauth.socialaccount.urls")),
    path("sessions/", include("allauth.usersessions.urls")),
    *build_provider_urlpatterns(),
]
