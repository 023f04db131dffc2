"""The pictures of the documentation, taken from seeded data: `make screenshots`."""
