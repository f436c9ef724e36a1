"""A world of its own: synthetic patients, scanner physics, disease courses. Proves plumbing, never accuracy."""

from irae.phantom.archive import write_archive
from irae.phantom.draw import draw_patient
from irae.phantom.patient import Patient
from irae.phantom.render import render_exam
from irae.phantom.sample import training_sample
from irae.phantom.truth import PhantomExam, VisitTruth

__all__ = ["Patient", "PhantomExam", "VisitTruth", "draw_patient", "render_exam", "training_sample", "write_archive"]
