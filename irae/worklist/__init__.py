"""Service: the triage page of one output folder."""
