"""Triage: a suggested reading priority with its reasons."""

from irae.triage.priority import triage_exam

__all__ = ["triage_exam"]
