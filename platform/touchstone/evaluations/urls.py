"""The node API, below `/node/v1/`."""

from django.urls import path

from touchstone.evaluations import node_api as api

_ATTEMPT = "runs/<uuid:run_id>/attempts/<int:attempt>"

urlpatterns = [
    path("register", api.register),
    path("claim", api.claim),
    path(f"{_ATTEMPT}/lease", api.lease),
    path(f"{_ATTEMPT}/events", api.events),
    path(f"{_ATTEMPT}/result", api.result),
    path(f"{_ATTEMPT}/release", api.release),
    path("files/<str:signed>", api.file),
]
