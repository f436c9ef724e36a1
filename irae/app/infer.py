"""infer.py: an archive in; flags, attributions, responses, reports and a worklist out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from irae.app.config import InferConfig, check_infer, settings_digest
from irae.app.source import check_source, open_archive
from irae.app.start import WRONG_CALL, start
from irae.core.context import PatientContext

DONE = 0
SOURCE_UNUSABLE = 1
SOME_QUARANTINED = 3
WORKLIST_EVERY_S = 30.0


def main(config_dir: Path) -> int:
    """Entry of infer.py. Returns the exit code of the contract: 0 done, 1 failed, 2 wrong call, 3 some quarantined."""
    return start(run, schema=InferConfig, config_name="infer", config_dir=config_dir)


def run(config: InferConfig) -> int:
    """Runs the whole job; one bad study never stops it."""
    console = Console(stderr=True)
    try:
        check_infer(config)
        check_source(config.archive, config.pacs)
        contexts = read_contexts(config)
    except ValueError as error:
        console.print(f"infer.py: {error}", style="red", markup=False, highlight=False)
        return WRONG_CALL

    # Torch and MONAI take seconds to import: only after the call was found to make sense.
    from irae.app.build import build
    from irae.app.outputs import clear_half_written, write_quarantine, write_worklist
    from irae.app.work import CourseDesk, list_work, read_work, record_unusable
    from irae.batch.ledger import FileRow, Ledger
    from irae.batch.local import LocalEngine
    from irae.core.errors import StudyError
    from irae.io.pacs import SourceError

    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    clear_half_written(out)
    ledger = Ledger(out / "ledger.sqlite")
    try:
        with TemporaryDirectory(prefix="irae-") as scratch:
            console.print(f"Reading the index of {config.archive}", markup=False, highlight=False)
            try:
                index = open_archive(
                    config.archive, scratch=Path(scratch), kept=out / "index.sqlite", settings=config.pacs, say=say
                )
                built = build(config)
            except SourceError as error:
                console.print(f"infer.py: {error}", style="red", markup=False, highlight=False)
                return SOURCE_UNUSABLE
            except (StudyError, ValueError) as error:
                console.print(f"infer.py: {error}", style="red", markup=False, highlight=False)
                return WRONG_CALL
            if not index.files:
                console.print(f"infer.py: archive={config.archive} is empty: no file was found",
                              style="red", markup=False, highlight=False)
                return WRONG_CALL
            ledger.record_files(FileRow.of(outcome) for outcome in index.files)
            desk = CourseDesk(
                out=out, ledger=ledger, stages=built.stages, models=built.models, settings=settings_digest(config),
                seg_sr=config.seg_sr,
            )
            record_unusable(index, ledger)
            work = list_work(index, contexts, key_of=desk.key_of, is_done=desk.is_done)
            waiting = sum(item.assess for item in work)
            console.print(
                f"{len(index.files)} files, {len(index.exams)} exams, {waiting} to do on {built.device}",
                markup=False, highlight=False,
            )
            engine = LocalEngine(
                readers=config.run.readers, writers=config.run.writers, ahead=config.run.ahead,
                read_timeout_s=config.run.read_timeout_s,
            )
            last_written = time.monotonic()
            with _progress(console) as progress:
                bar = progress.add_task("exams", total=waiting)
                for ended in engine.run(work, read=read_work, compute=desk.compute, write=desk.write):
                    desk.ended(ended)
                    progress.update(bar, advance=1 if ended.item.assess else 0, description=ended.item.exam)
                    if time.monotonic() - last_written > WORKLIST_EVERY_S:
                        write_worklist(out, ledger.worklist_rows())
                        last_written = time.monotonic()
            desk.write_courses()
        write_worklist(out, ledger.worklist_rows())
        write_quarantine(out, ledger)
        return _say_what_was_done(console, out, ledger.exam_counts(), ledger.file_counts())
    finally:
        ledger.close()


def read_contexts(config: InferConfig) -> Mapping[str, PatientContext]:
    """The context table, by patient; empty without one."""
    from irae.io.context import read_context

    return read_context(Path(config.context)) if config.context is not None else {}


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def _say_what_was_done(console: Console, out: Path, exams: Mapping[str, int], files: Mapping[str, int]) -> int:
    bad = exams.get("quarantined", 0) + exams.get("failed", 0)
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    say("Exams: " + (", ".join(f"{n} {state}" for state, n in sorted(exams.items())) or "none"))
    say("Files: " + (", ".join(f"{n} {outcome}" for outcome, n in sorted(files.items())) or "none"))
    say(f"Worklist:   {out / 'worklist.json'}")
    for page in sorted(out.glob("*/course.html")):
        say(f"Course:     {page}")
    say(f"Reports:    {out}/<patient>/<date>/report.html")
    if bad or files.get("quarantined", 0):
        say(f"Not used:   {out / 'quarantine.csv'}")
    say("Research use only. Models in weights/ were trained on synthetic patients.")
    return SOME_QUARANTINED if bad or files.get("quarantined", 0) else DONE
