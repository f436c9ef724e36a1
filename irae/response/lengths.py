"""Exact arithmetic at 0.1 mm (rule CONV-1): lengths are whole tenths of a millimetre, SUL values are fractions.

In binary floating point 14.0 to 9.8 mm is not -30 % and 27.0 to 32.4 mm is not +20 %. In tenths both are.
"""

from __future__ import annotations

import math
from fractions import Fraction

PER_MM = 10  # tenths of a millimetre in a millimetre


def tenths(mm: float) -> int:
    """A length in whole tenths of a millimetre, halves rounded up.

    Raises:
        ValueError: If the length is negative or not finite.

    >>> tenths(32.4), tenths(9.96), tenths(0)
    (324, 100, 0)
    """
    if not math.isfinite(mm) or mm < 0:
        raise ValueError(f"a length must be zero or more, got {mm} mm")
    return int(mm * PER_MM + 0.5 + 1e-7)


def mm(length_tenths: int | None) -> float | None:
    """Tenths back to millimetres; None stays None.

    >>> mm(324)
    32.4
    """
    return None if length_tenths is None else length_tenths / PER_MM


def mm2(area: int | None) -> float | None:
    """A product of two lengths in tenths, as square millimetres."""
    return None if area is None else area / (PER_MM * PER_MM)


def exact(value: float | int | str | Fraction) -> Fraction:
    """A measured number as the decimal it was written as, not as its binary neighbour.

    >>> exact(5.6) - exact(8.0) == exact(-2.4), 5.6 - 8.0 == -2.4
    (True, False)
    """
    return value if isinstance(value, Fraction) else Fraction(str(value))


def percent_change(now: Fraction, then: Fraction) -> Fraction | None:
    """Change in percent of ``then``; None where ``then`` is zero."""
    return None if then == 0 else 100 * (now - then) / then
