"""The one way to talk to a sandbox: it dials the platform's unix socket and serves on that connection."""
