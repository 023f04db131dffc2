"""Those of the live tests; a node whose cluster lost a machine is asked again at once."""

from tests.integration.live_settings import *  # noqa: F403

TOUCHSTONE_NODE_REST_SECONDS = 1
