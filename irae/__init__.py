"""irae: immune-related adverse events on CT, PET/CT and MR, kept apart from new metastasis. Research use only."""

__version__ = "0.1.0"
