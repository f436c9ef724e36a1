"""The one way to compare a measured number with a clinical threshold."""

TOLERANCE = 1e-6


def reaches(value: float, threshold: float) -> bool:
    """Whether a value is at or above a threshold, forgiving binary rounding.

    In plain floating point 26.0 mm to 31.2 mm is not a 20 % increase; clinically it is.

    >>> 31.2 >= 1.2 * 26.0, reaches(31.2 - 26.0, 0.2 * 26.0)
    (True, True)
    >>> 32.4 - 27.0 >= 0.2 * 27.0, reaches(32.4 - 27.0, 0.2 * 27.0)
    (False, True)
    """
    return value >= threshold - TOLERANCE


def exceeds(value: float, threshold: float) -> bool:
    """Whether a value is truly above a threshold ("more than"), forgiving binary rounding.

    >>> exceeds(0.3 + 1e-12, 0.3), exceeds(0.31, 0.3)
    (False, True)
    """
    return value > threshold + TOLERANCE
