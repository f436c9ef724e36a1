"""The segmenters behind the port ``core.ports.Segmenter``."""
