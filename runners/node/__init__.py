"""A worker node's own life: its settings, its talk with the server, its cache, and the watch over each attempt."""
