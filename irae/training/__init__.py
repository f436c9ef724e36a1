"""Loops: data, augmentation, training, tracking, retraining."""
