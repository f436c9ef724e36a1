"""irAE findings: organ measurements, cited cut-offs, fusion of two arms, episodes over exams."""

from irae.findings.assess import assess_findings, assess_further
from irae.findings.context_notices import activation_notices, uncertain_notices
from irae.findings.measure import measure
from irae.findings.measure_foci import measure_foci

__all__ = [
    "activation_notices", "assess_findings", "assess_further", "measure", "measure_foci", "uncertain_notices",
]
