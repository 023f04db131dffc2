"""The wizard that writes a competition, a view for each step."""
