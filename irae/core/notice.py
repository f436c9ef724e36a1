"""Expected gaps: what a reader must know, said instead of guessed."""

from dataclasses import dataclass

# Codes that say how something was done; all others name a gap in what could be seen. A missing head MR is told as
# "hypophysitis: not assessable".
REMARKS: frozenset[str] = frozenset({"hot_threshold", "foci_within_noise", "immune_activation", "no_head_mr"})


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the reader must know about a result: a stable code and one sentence for a clinician."""

    code: str
    text: str

    @property
    def limits(self) -> bool:
        """Whether it names a gap, not only how something was done."""
        return self.code not in REMARKS
