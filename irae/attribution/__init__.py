"""Rules: inflammation, metastasis, physiologic or indeterminate, with the evidence kept."""
