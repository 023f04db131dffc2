"""What an answer costs: time, and how it grows."""
