"""Annotations in: DICOM SEG, RTSTRUCT and NIfTI label maps onto an image's grid, as masks by name or as organs."""

from irae.io.annotations.organs import organ_named, organs_of
from irae.io.annotations.read import read_annotations
from irae.io.annotations.value import Annotation, AnnotationRules, AnnotationsRead

__all__ = ["Annotation", "AnnotationRules", "AnnotationsRead", "organ_named", "organs_of", "read_annotations"]
