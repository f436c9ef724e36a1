"""Rules: what should be read first, and why."""
