"""Addresses for Docker engines and the registry, below `/registry/`."""

from django.urls import path

from touchstone.registry import views

urlpatterns = [
    path("token", views.token),
    path("events", views.events),
]
