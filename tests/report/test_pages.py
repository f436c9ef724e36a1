"""The pages say everything, in order, in human names, and need nothing from outside."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from irae.core.anatomy import FurtherIrae, Irae
from irae.core.assessment import Hinge
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.core.course import Revision
from irae.core.finding import Decision
from irae.core.focus import Nature, ScorePart
from irae.core.notice import Notice
from irae.io.result_json import course_to_json
from irae.report import write_course_page, write_exam_page
from irae.report.course_page import standings, track_rows
from irae.report.exam_page import headline, hinge_sentences, lesion_rows, own_baseline, response_rows
from irae.report.timeline import episode_rows, treatment_lanes
from tests.report import examples


class Reader(HTMLParser):
    """Text as a person reads it, and every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self._silent = [], [], 0

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._silent += tag == "style"

    def handle_endtag(self, tag):
        self._silent -= tag == "style"

    def handle_data(self, data):
        if not self._silent:
            self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", " ".join(reader.text)), reader.tags


@pytest.fixture(scope="module")
def follow_up(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "P01" / "2026-01-26" / "report.html"
    result, images = examples.follow_up_exam()
    write_exam_page(path, result, images, baseline=examples.baseline_exam(), targets=("L01", "L02"))
    return path


def test_the_parts_come_in_reading_order(follow_up):
    text, _ = read(follow_up)
    parts = ("RESEARCH USE ONLY", "trained on synthetic patients", "Input and quality", "Bottom line", "ACR category 2",
             "Immune-related adverse events", "Response", "Lesions over time", "Evidence for each irAE",
             "Foci: every hot or new region", "Pictures", "What this cannot see", "Codes and provenance")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_a_page_needs_nothing_from_outside_and_is_small(follow_up):
    _, tags = read(follow_up)
    assert not [t for t, _ in tags if t in ("script", "link", "iframe", "object")]
    sources = [a["src"] for _, a in tags if "src" in a]
    assert sources
    assert all(s.startswith("data:image/png;base64,") for s in sources)
    assert [a["href"] for t, a in tags if t == "a"] == ["../course.html"]
    assert all(a.get("alt") for t, a in tags if t == "img")
    assert follow_up.stat().st_size < 3_000_000


def test_not_assessable_is_as_visible_as_a_flag(follow_up):
    text, tags = read(follow_up)
    pills = [a["class"] for t, a in tags if t == "span" and a.get("class", "").startswith("pill")]
    assert pills[:5] == ["pill suspected", "pill not_suspected", "pill not_assessable", "pill not_suspected",
                         "pill not_assessable"]
    assert "not assessable: The thyroid is outside the field of view." in text


def test_both_views_stand_side_by_side_with_what_they_hinge_on(follow_up):
    text, _ = read(follow_up)
    assert "RECIST 1.1 PR or PD; iRECIST iPR or iUPD; PERCIST 1.0 PMR or PMD" in text
    assert "L05 (liver): were it metastasis, iRECIST would be iUPD, RECIST 1.1 would be PD." in text
    assert "2026-02-23 to 2026-03-23" in text
    rows = response_rows(examples.follow_up_exam()[0])
    assert [(r.criterion, r.differs) for r in rows] == [
        ("recist_1_1", True), ("irecist", True), ("percist_1_0", True)]


def test_no_focus_is_dropped(follow_up):
    text, _ = read(follow_up)
    table = text[text.index("Foci: every"):text.index("Pictures")]
    for focus in examples.follow_up_exam()[0].foci:
        assert f"{focus.focus.track} #{focus.focus.id}" in table
    assert "new: equivocal" in table
    assert "not a lesion" in table
    assert "no longer seen" in table
    assert "F1 +3.0" in table
    assert "F3 -1.5" in table


def page_with(tmp_path, focus):
    result, images = examples.follow_up_exam()
    changed = replace(result, foci=(focus, *result.foci[1:]))
    path = tmp_path / "P01" / "2026-01-26" / "report.html"
    write_exam_page(path, changed, images, baseline=examples.baseline_exam())
    return read(path)[0]


def test_evidence_says_nothing_twice(tmp_path):
    focus = examples.follow_up_exam()[0].foci[0]
    parts = (
        ScorePart(feature="F7", value="week 7 of therapy", points=1.0, reason="It appears in week 7 of therapy."),
        ScorePart(feature="F5", value="no CT sign", points=0.5, reason="The bowel shows uptake without a mass on CT."),
    )
    text = page_with(tmp_path, replace(focus, parts=parts))
    assert "F7 +1.0 It appears in week 7 of therapy." in text
    assert "F5 +0.5 no CT sign: The bowel shows uptake without a mass on CT." in text


def test_a_place_without_a_mask_has_no_share(tmp_path):
    focus = examples.follow_up_exam()[0].foci[0]
    assert "90 % of it lies inside: left lung" in page_with(tmp_path, focus)
    node = replace(focus, focus=replace(focus.focus, organ="lymph_node", organ_fraction=0.0))
    assert "lies inside: lymph node" not in page_with(tmp_path, node)


def test_lesions_come_before_normal_uptake_in_the_course():
    course = examples.course()
    rows = track_rows(course)
    normal = [all(f is None or f.nature is Nature.PHYSIOLOGIC for f in row.seen) for row in rows]
    assert normal == sorted(normal)
    assert any(normal), "nothing is dropped"
    assert {row.name for row in rows} == {f.focus.track for e in course.exams for f in e.foci if f.focus.track}


def test_foci_that_would_change_the_same_are_told_together():
    result, _ = examples.follow_up_exam()
    same = (("recist_1_1", "PD"), ("irecist", "iUPD"))
    hinges = [Hinge(focus=n, if_nature="metastasis", categories=same) for n in (4, 5)]
    hinges.append(Hinge(focus=2, if_nature="inflammation", categories=(("recist_1_1", "SD"),)))
    changed = replace(result, hinges_on=tuple(hinges))
    assert hinge_sentences(changed) == [
        "L04 (colon), L05 (liver): were any one of them metastasis, RECIST 1.1 would be PD, iRECIST would be iUPD.",
        "L02 (lymph node): were it inflammation, RECIST 1.1 would be SD.",
    ]
    recist = next(r for r in response_rows(changed) if r.criterion == "recist_1_1")
    assert recist.hinges == ("L04 (colon), L05 (liver): if metastasis, PD", "L02 (lymph node): if inflammation, SD")


def test_what_is_gone_has_no_size(follow_up):
    text, _ = read(follow_up)
    assert "0 × 0" not in text


def test_a_further_irae_that_was_suspected_is_in_the_timeline_by_its_name(tmp_path):
    course = examples.course()
    assert episode_rows(course) == list(Irae)
    nodes = examples.finding(FurtherIrae.SARCOID_LIKE, "lymph_node", Decision.SUSPECTED, probability=0.7, severity=1)
    last = replace(course.exams[1], findings=(*course.exams[1].findings, nodes))
    changed = replace(course, exams=(course.exams[0], last, *course.exams[2:]))
    assert episode_rows(changed) == [*Irae, FurtherIrae.SARCOID_LIKE]
    page = page_of(changed, tmp_path)
    assert "sarcoid-like" in page
    assert "sarcoid_like" not in page
    assert any("sarcoid-like" in line for line in headline(last, first_exam=False))


def test_drugs_given_together_lie_below_each_other():
    drugs = [ContextEntry(kind=ContextKind.THERAPY, value=v, start=examples.FIRST) for v in ("ipilimumab", "nivolumab")]
    later = ContextEntry(kind=ContextKind.THERAPY, value="pembrolizumab", start=examples.FIRST + timedelta(days=300))
    ended = [replace(d, end=examples.FIRST + timedelta(days=90)) for d in drugs]
    steroid = ContextEntry(kind=ContextKind.STEROID, value="prednisolone", start=examples.FIRST)
    lanes = treatment_lanes([steroid, *drugs], examples.FIRST + timedelta(days=400))
    assert [[e.value for e in lane] for lane in lanes] == [["ipilimumab"], ["nivolumab"], ["prednisolone"]]
    lanes = treatment_lanes([*ended, later], examples.FIRST + timedelta(days=400))
    assert [[e.value for e in lane] for lane in lanes] == [["ipilimumab", "pembrolizumab"], ["nivolumab"]]


def test_lesions_are_compared_with_baseline_nadir_and_previous():
    first, middle, last = examples.baseline_exam()[0], examples.follow_up_exam()[0], examples.follow_up_exam()[0]
    middle = replace(middle, acquired_on=examples.FIRST.replace(month=12))
    rows = {r.name: r for r in lesion_rows(last, (first, middle), ("L01",))}
    lung, node = rows["L01"], rows["L02"]
    assert (lung.baseline_mm, lung.nadir_mm, lung.previous_mm, lung.now_mm) == (30.0, 20.0, 20.0, 20.0)
    assert lung.versus_baseline == pytest.approx(-1 / 3)
    assert lung.versus_nadir == 0
    assert node.is_node
    assert node.baseline_mm == pytest.approx(19.8)
    assert node.now_mm == pytest.approx(16.2)
    assert rows["L04"].baseline_mm is None
    assert rows["L04"].versus_baseline is None
    assert "L03" not in rows  # physiologic
    assert next(iter(rows)) == "L01"  # the target comes first


def test_a_lesion_that_is_not_listed_is_not_evaluated_not_gone(tmp_path):
    result, images = examples.follow_up_exam()
    without = replace(result, foci=tuple(f for f in result.foci if f.focus.track != "L02"))
    row = next(r for r in lesion_rows(without, (examples.baseline_exam()[0],), ()) if r.name == "L02")
    assert row.now_mm is None
    write_exam_page(tmp_path / "r.html", without, images, baseline=examples.baseline_exam())
    assert "⊘ not evaluated" in read(tmp_path / "r.html")[0]


def test_own_baseline_is_the_same_measurement_earlier():
    first, now = examples.baseline_exam()[0], examples.follow_up_exam()[0]
    colitis = now.findings[0]
    assert own_baseline(colitis, colitis.evidence[0], first) == 1.6
    assert own_baseline(colitis, colitis.evidence[1], first) is None
    assert own_baseline(colitis, colitis.evidence[0], None) is None


def test_first_exam_says_that_nothing_can_be_compared(tmp_path):
    write_exam_page(tmp_path / "r.html", *examples.baseline_exam(), baseline=None)
    text, _ = read(tmp_path / "r.html")
    assert "No response is scored: this is the first exam." in text.replace("</b>", "")
    assert "No irAE is suspected." in text


def test_text_from_outside_is_escaped(tmp_path):
    result, images = examples.head_exam()
    evil = replace(result, notices=(Notice("x", "<script>alert(1)</script><img src=http://x/y>"),))
    write_exam_page(tmp_path / "r.html", evil, images, baseline=None)
    _, tags = read(tmp_path / "r.html")
    assert not [t for t, _ in tags if t == "script"]
    assert not [a for t, a in tags if t == "img" and not a["src"].startswith("data:")]


def test_the_same_values_give_the_same_page(tmp_path):
    for name in ("a", "b"):
        write_exam_page(tmp_path / name, *examples.head_exam(), baseline=None)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_misfits_are_refused(tmp_path):
    first, later = examples.baseline_exam(), examples.follow_up_exam()
    with pytest.raises(ValueError, match="is not older"):
        write_exam_page(tmp_path / "r.html", *first, baseline=later)
    with pytest.raises(ValueError, match="do not belong"):
        write_exam_page(tmp_path / "r.html", first[0], later[1], baseline=None)
    with pytest.raises(ValueError, match="at least one exam"):
        write_course_page(tmp_path / "c.html", replace(examples.course(), exams=()))
    assert not list(tmp_path.iterdir())


def test_course_page_shows_responses_tracks_patterns_and_what_is_due(tmp_path):
    write_course_page(tmp_path / "course.html", examples.course(), context=examples.CONTEXT)
    text, tags = read(tmp_path / "course.html")
    for part in ("What is due", "confirm iUPD", "2026-02-23 and 2026-03-23", "iRECIST", "inflammation set aside",
                 "every focus counted as tumour", "iUPD", "pseudoprogression", "cannot be said", "L05", "views differ"):
        assert part in text, part
    links = [a["href"] for t, a in tags if t == "a"]
    assert "2026-01-26/report.html" in links
    assert "Treatment is not known" not in text
    write_course_page(tmp_path / "bare.html", examples.course(), context=PatientContext())
    assert "Treatment is not known" in read(tmp_path / "bare.html")[0]


def test_a_later_exam_that_cannot_see_an_organ_does_not_end_a_suspicion():
    colitis = standings(examples.course())[0]
    assert colitis.finding.decision.value == "suspected"
    assert colitis.on.isoformat() == "2026-01-26"
    assert "not assessable on 2026-02-02" in colitis.later_gap


def test_nothing_is_new_on_a_first_exam(tmp_path):
    write_exam_page(tmp_path / "r.html", *examples.baseline_exam(), baseline=None)
    text, _ = read(tmp_path / "r.html")
    assert "Foci on this first exam, physiologic uptake aside: 2 (2 metastasis)." in text
    assert "unequivocal" not in text[text.index("Suggestion"):]


def test_course_page_and_json_show_what_a_later_exam_revised(tmp_path):
    course = examples.course()
    revision = Revision(
        track="L05", said=Nature.METASTASIS, said_on=course.exams[0].acquired_on, shown=Nature.INFLAMMATION,
        shown_on=course.exams[-1].acquired_on, reason="It vanished and the pneumonitis has healed.",
    )
    assert "What later exams showed" not in page_of(course, tmp_path)
    text = page_of(replace(course, revisions=(revision,)), tmp_path)
    for part in ("What later exams showed", "It vanished and the pneumonitis has healed.", "L05"):
        assert part in text, part
    (written,) = course_to_json(replace(course, revisions=(revision,)))["revisions"]
    assert (written["track"], written["said"], written["shown"]) == ("L05", "metastasis", "inflammation")


def page_of(course, folder):
    write_course_page(folder / "course.html", course, context=examples.CONTEXT)
    return (folder / "course.html").read_text(encoding="utf-8")
