"""All URLs: the node API, the REST API, and the pages."""

from django.urls import include, path

urlpatterns = [
    path("node/v1/", include("touchstone.evaluations.urls")),
    path("registry/", include("touchstone.registry.urls")),
    path("api/v1/", include("touchstone.api.urls")),
    path("", include("touchstone.web.urls")),
    path("", include("touchstone.web.entrance_urls")),
]
