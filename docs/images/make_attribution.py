"""Makes docs/images/attribution-exam.png and prints the worked exam of docs/concepts/attribution.md.

    python docs/images/make_attribution.py

One synthetic patient: metastases that swell at the second exam, and a colitis that comes with it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from irae.app.build import WEIGHTS, learned_attribution
from irae.core.anatomy import Irae
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.core.result import Versions
from irae.lesions import EarlierExam
from irae.phantom.disease import DiseasePlan
from irae.phantom.draw import VisitPlan, draw_patient
from irae.phantom.render import body_geometry, render_exam
from irae.pipeline import Stages, assess_exam
from irae.training.attribution_cases import TrueOrgans

COLOUR = {Nature.INFLAMMATION: "#c46a00", Nature.METASTASIS: "#b3123b", Nature.PHYSIOLOGIC: "#2a6f97",
          Nature.INDETERMINATE: "#6b6b6b"}
SEED, SPACING_MM = 22, 4.5


def main() -> None:
    """Two exams through the pipeline; the second is drawn and printed."""
    plan = DiseasePlan(irae={}, force={Irae.COLITIS: (0, 2, 0)}, lesion_course="pseudoprogression", confounder={},
                       invisible=0.0, min_lesions=2, max_lesions=3)
    patient = draw_patient(np.random.default_rng(SEED), visits=3, key="P03", seed=SEED, disease=plan,
                           plan=VisitPlan(has_pet=True, mr=False))
    organs = TrueOrgans()
    stages = Stages(segmenter=organs, classifier=None, attribution=learned_attribution(WEIGHTS))
    results, images = [], []
    for visit in range(2):
        shown = organs.shown = render_exam(
            patient, visit, ct_geometry=body_geometry(patient, visit, (SPACING_MM,) * 3), with_mr=False)
        assessed = assess_exam(shown.exam, history=results, images=images, stages=stages,
                               versions=Versions(irae="docs", models={}, settings=""))
        results.append(assessed.result)
        images.append(EarlierExam(assessed.result, shown.exam, assessed.organs))
    pet = shown.exam.pet
    assert pet is not None
    here = [a for a in assessed.result.foci if a.focus.status is not FocusStatus.GONE]
    for a in sorted(here, key=lambda a: (a.nature is Nature.PHYSIOLOGIC, -(a.focus.suv_max or 0.0))):
        print(f"{a.focus.track} {a.focus.organ} {a.focus.longest_mm:.0f} mm SUVmax {a.focus.suv_max or 0:.1f} "
              f"{a.focus.status.value}: {a.nature.value} ({a.score:+.1f}) {a.probabilities}")
        for reason in a.reasons:
            print("    ", reason)
    for s in assessed.result.assessments:
        print(s.criterion, s.view.value, s.category, s.sum_mm)
    picture(pet.array, pet.geometry, here, Path(__file__).with_name("attribution-exam.png"))


def picture(suv: np.ndarray, grid, foci: list[AttributedFocus], path: Path) -> None:  # type: ignore[no-untyped-def]
    """Coronal and sagittal maximum intensity projections with every focus as a circle in its nature's colour."""
    figure = Figure(figsize=(7.4, 6.4), dpi=100)
    axes = figure.subplots(1, 2, sharey=True)
    low, high = grid.to_world(np.zeros(3)), grid.to_world(np.array(grid.shape) - 1.0)
    for axis, along, across in ((axes[0], 1, 0), (axes[1], 0, 1)):
        extent = (low[across], high[across], low[2], high[2])
        axis.imshow(suv.max(axis=along).T, origin="lower", cmap="gray_r", vmin=0, vmax=8, extent=extent)
        for a in foci:
            x = a.focus.centroid_ras_mm
            size = max(60.0, 6.0 * min(a.focus.longest_mm, 60.0))
            axis.scatter(x[across], x[2], s=size, facecolors="none", edgecolors=COLOUR[a.nature],
                         linewidths=0.8 if a.nature is Nature.PHYSIOLOGIC else 1.8)
            if a.nature is not Nature.PHYSIOLOGIC:
                axis.annotate(a.focus.track, (x[across], x[2]), color=COLOUR[a.nature], fontsize=7,
                              xytext=(7, 5), textcoords="offset points")
        axis.set_axis_off()
    axes[0].set_title("in RAS+: the patient's right is on the right", fontsize=8)
    axes[1].set_title("from the side", fontsize=8)
    for nature, colour in COLOUR.items():
        axes[1].scatter([], [], s=40, facecolors="none", edgecolors=colour, label=nature.value)
    figure.legend(loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path)


if __name__ == "__main__":
    main()
