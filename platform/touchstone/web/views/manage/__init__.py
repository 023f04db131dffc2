"""What organisers run a competition with."""
