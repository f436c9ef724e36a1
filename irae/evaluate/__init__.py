"""Rules: how well models and rules do, with intervals."""
