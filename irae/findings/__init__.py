"""irAE findings: organ measurements, cited cut-offs, fusion of two arms, episodes over exams."""

from irae.findings.assess import assess_findings
from irae.findings.measure import measure

__all__ = ["assess_findings", "measure"]
