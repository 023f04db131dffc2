"""All URLs: the node API, the REST API, and the pages."""

from django.urls import include, path, re_path

from touchstone.api.views.reference import api_reference
from touchstone.api.views.schema import NoSuchVersion
from touchstone.core import problems

handler400 = problems.bad_request
handler500 = problems.server_error

urlpatterns = [
    path("node/v1/", include("touchstone.evaluations.urls")),
    path("registry/", include("touchstone.registry.urls")),
    path("api/v1/docs", api_reference, name="api-docs"),
    path("api/v1/", include("touchstone.api.urls")),
    re_path(r"^api/(?P<rest>[\s\S]*)$", NoSuchVersion.as_view()),
    path("", include("touchstone.web.urls")),
    path("", include("touchstone.web.entrance_urls")),
]
