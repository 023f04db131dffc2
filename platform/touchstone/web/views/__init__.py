"""Views: thin. They ask selectors, call services and fill templates; one file an area."""
