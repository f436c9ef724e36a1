"""Rules: published response criteria, exact, with reasons."""
