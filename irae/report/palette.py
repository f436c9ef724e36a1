"""Colours that colour-blind readers can tell apart, and never the only carrier of a meaning.

The palette is that of Okabe and Ito (Color Universal Design, 2008). Every nature also has a letter and a line style.
"""

from __future__ import annotations

from dataclasses import dataclass

from irae.core.finding import Decision, EpisodeState
from irae.core.focus import Nature

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE, GREY = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#7A7F87",
)


@dataclass(frozen=True, slots=True)
class NatureStyle:
    """How foci of one nature are drawn: colour, line style of the outline, and the letter beside the name."""

    colour: str
    line: str
    letter: str
    word: str


NATURE: dict[Nature, NatureStyle] = {
    Nature.METASTASIS: NatureStyle(VERMILLION, "solid", "M", "metastasis"),
    Nature.INDETERMINATE: NatureStyle(PURPLE, "solid", "?", "indeterminate"),
    Nature.INFLAMMATION: NatureStyle(BLUE, "dashed", "I", "inflammation"),
    Nature.PHYSIOLOGIC: NatureStyle(GREEN, "dotted", "P", "physiologic"),
}

# Outlines of organs, pale and thin so that no organ looks like a focus; organs not listed are not outlined.
ORGAN: dict[str, str] = {
    "lung_left": "#A6D5F2", "lung_right": "#A6D5F2", "colon": YELLOW, "liver": "#B9EBD3", "thyroid_gland": "#FFC2A1",
    "spleen": "#E3CBEB", "small_bowel": "#D9C79B", "pituitary": YELLOW,
}

DECISION: dict[Decision, str] = {
    Decision.SUSPECTED: VERMILLION, Decision.NOT_SUSPECTED: GREEN, Decision.NOT_ASSESSABLE: BLACK,
}

EPISODE: dict[EpisodeState, str] = {
    EpisodeState.NEW: VERMILLION, EpisodeState.RECURRENT: VERMILLION, EpisodeState.ONGOING: ORANGE,
    EpisodeState.IMPROVING: SKY, EpisodeState.RESOLVED: GREEN, EpisodeState.NONE: "#DDE1E6",
}
