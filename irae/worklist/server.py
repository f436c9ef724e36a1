"""The triage page: loopback only, behind a key, reports served only from inside the output folder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse

from irae.worklist.answers import Answer, Answers
from irae.worklist.keys import COOKIE, Keys
from irae.worklist.page import render
from irae.worklist.rows import Row, in_reading_order, read_rows

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The pages and tables of an output folder that a browser may fetch.
SERVED = {"report.html": "text/html", "course.html": "text/html", "result.json": "application/json",
          "course.json": "application/json", "worklist.csv": "text/csv", "quarantine.csv": "text/csv"}
READER_COOKIE = "irae_reader"
LARGEST_FORM = 4096
HEADERS = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # "no-referrer" would make browsers send our own forms with Origin: null
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
}


def create_app(out: Path, *, keys: Keys, today: Callable[[], date] = date.today) -> FastAPI:
    """The service of one output folder.

    Args:
        out: The folder that infer.py wrote.
        keys: Who may look.
        today: The day that ages are counted to.
    """
    folder = out.resolve(strict=True)
    answers = Answers(folder)
    app = FastAPI(title="irae worklist", docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        refused = _refusal(request, keys)
        response = refused if refused is not None else await call_next(request)
        response.headers.update(HEADERS)
        return response

    @app.get("/")
    def page(request: Request) -> Response:
        if "token" in request.query_params:  # the guard has checked it
            home = RedirectResponse("/", status_code=303)
            home.set_cookie(COOKIE, keys.session, httponly=True, samesite="strict", path="/")
            return home
        try:
            rows = in_reading_order(read_rows(folder))
        except ValueError as error:
            return PlainTextResponse(f"worklist.json cannot be read: {error}", status_code=500)
        return HTMLResponse(
            render(rows, answers.standing(), today=today(), form_key=keys.form,
                   reader=request.cookies.get(READER_COOKIE, ""), written=(folder / "worklist.json").is_file())
        )

    @app.get("/api/worklist")
    def api() -> Response:
        standing = answers.standing()
        return JSONResponse({
            "research_use_only": True,
            "exams": [_as_json(row, standing.get(row.exam)) for row in in_reading_order(read_rows(folder))],
        })

    @app.post("/answer")
    async def answer(request: Request) -> Response:
        form = await _form(request)
        if form is None or not keys.signed(form.get("key", "")):
            return PlainTextResponse("This form is not from this worklist's page.", status_code=403)
        row = next((r for r in read_rows(folder) if r.exam == form.get("exam")), None)
        if row is None:
            return PlainTextResponse("The worklist has no such exam.", status_code=404)
        try:
            answers.record(
                row.exam, Answer(form.get("answer", "")), reason=form.get("reason", ""),
                reader=request.cookies.get(READER_COOKIE, ""), suspected=tuple(s.irae for s in row.suspected),
                version=row.version,
            )
        except ValueError as error:
            return PlainTextResponse(str(error), status_code=422)
        return RedirectResponse("/", status_code=303)

    @app.post("/reader")
    async def reader(request: Request) -> Response:
        form = await _form(request)
        if form is None or not keys.signed(form.get("key", "")):
            return PlainTextResponse("This form is not from this worklist's page.", status_code=403)
        home = RedirectResponse("/", status_code=303)
        name = "".join(c for c in form.get("reader", "") if c.isascii() and (c.isalnum() or c in " .-_"))[:40]
        home.set_cookie(READER_COOKIE, name, httponly=True, samesite="strict", path="/")
        return home

    @app.get("/files/{path:path}")
    def files(path: str) -> Response:
        found = inside(folder, path)
        if found is None:
            return PlainTextResponse("There is no such page.", status_code=404)
        return FileResponse(found, media_type=SERVED[found.name])

    return app


def inside(folder: Path, path: str) -> Path | None:
    """The file of a path, if it is one of the pages served and truly lies inside the folder.

    Symbolic links and ``..`` are followed first, then checked; hidden folders (half-written exams) are not served.
    """
    if "\x00" in path or any(part.startswith(".") for part in Path(path).parts):
        return None
    try:
        found = (folder / path).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    return found if found.is_relative_to(folder) and found.is_file() and found.name in SERVED else None


def _refusal(request: Request, keys: Keys) -> Response | None:
    """Why a request is not let in; None where it is. Another host name means a page elsewhere points here."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        host = None
    if host not in LOOPBACK:
        return PlainTextResponse("This service answers on this machine only.", status_code=421)
    origin = request.headers.get("origin")
    if origin not in (None, f"http://{request.headers.get('host', '')}"):
        return PlainTextResponse("This request comes from another site.", status_code=403)
    if request.method == "GET" and request.url.path == "/" and keys.opens(request.query_params.get("token", "")):
        return None
    if keys.knows(request.cookies.get(COOKIE, "")):
        return None
    return PlainTextResponse("Open the link that 'irae worklist' printed when it started.", status_code=401)


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form; None where it is too large or cannot be read."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            return None
    try:
        return {name: values[-1] for name, values in parse_qs(body.decode("utf-8"), keep_blank_values=True).items()}
    except ValueError:
        return None


def _as_json(row: Row, answered: Any) -> dict[str, Any]:
    return {
        "exam": row.exam, "patient": row.patient, "date": row.day.isoformat() if row.day else None,
        "analysed": row.analysed, "acr_category": row.acr_category, "priority": row.priority,
        "suspected": [
            {"irae": s.irae, "probability": s.probability, "threshold": s.threshold, "severity": s.severity,
             "state": s.state} for s in row.suspected
        ],
        "not_assessable": list(row.not_assessable), "new_metastasis": row.new_metastasis, "qc": row.qc,
        "report": f"/files/{quote(row.report)}" if row.report else None,
        "answer": None if answered is None else {
            "answer": answered.answer.value, "reason": answered.reason, "reader": answered.reader, "at": answered.at},
    }


def serve(out: Path, *, host: str = "127.0.0.1", port: int = 8321, token: str | None = None) -> None:
    """Serves the worklist of an output folder until it is stopped; prints the link with its key once.

    Args:
        out: The folder that infer.py wrote.
        host: A loopback address.
        port: Port on this machine.
        token: The key of the link; random where not given.

    Raises:
        ValueError: If the host is not a loopback address or the token is too short.
    """
    if host not in LOOPBACK:
        raise ValueError(f"the worklist is served on loopback only ({', '.join(LOOPBACK)}), got {host!r}")
    import uvicorn

    keys = Keys(token)
    app = create_app(out, keys=keys)
    name = f"[{host}]" if ":" in host else host
    print(f"Worklist of {out}: http://{name}:{port}/?token={keys.token}", flush=True)
    # No access log: its lines would hold the token.
    uvicorn.run(app, host=host, port=port, access_log=False, log_level="warning", server_header=False)
