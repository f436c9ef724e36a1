"""Torch: networks, tensors, segmenters, classifiers, packages."""
