"""Doors: archives, NIfTI, annotations, results; the only place that knows DICOM."""
