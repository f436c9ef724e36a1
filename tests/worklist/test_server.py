"""The service: nobody without the key, nothing from outside the folder, nothing hidden, one click."""

import json
import re
import threading
import time
from contextlib import contextmanager
from datetime import date
from html import unescape

import httpx
import pytest
import uvicorn

from irae.worklist import create_app, serve
from irae.worklist.answers import FILE_NAME
from irae.worklist.keys import COOKIE, Keys
from irae.worklist.server import HEADERS, inside
from tests.worklist.test_rows import entry

TOKEN = "a-token-for-tests-only"
ROWS = [
    entry("P01/2026-03-14", acr=2, p=0.91, new_metastasis=True, day="2026-03-14",
          responses={"irecist": {"attributed": "iPR", "as_seen": "iUPD"}}),
    entry("P02/2026-03-10", day="2026-03-10", not_assessable=["thyroiditis"], qc="limited", notices=["truncated_fov"]),
    entry("P03/2026-03-12", state="quarantined", day="2026-03-12", report=None, qc="rejected",
          reasons=["Not analysed (missing_slice): <b>12</b> slices are missing."]),
]


@contextmanager
def served(folder):
    """A real server on a free port of this machine, and a browser without cookies."""
    app = create_app(folder, keys=Keys(TOKEN), today=lambda: date(2026, 3, 15))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    for row in ROWS:
        if row["report"]:
            page = folder / row["report"]
            page.parent.mkdir(parents=True)
            page.write_text(f"<p>report of {row['exam']}</p>")
    (folder / "worklist.json").write_text(json.dumps({"exams": ROWS}))
    (folder / "ledger.sqlite").write_text("not for browsers")
    (tmp_path / "report.html").write_text("outside")
    return folder


@pytest.fixture
def stranger(out):
    with served(out) as client:
        yield client


@pytest.fixture
def reader(stranger):
    assert stranger.get("/", params={"token": TOKEN}).status_code == 303
    return stranger


def key_of(page: str) -> str:
    return re.search(r'name="key" value="([0-9a-f]+)"', page)[1]


def seen(page: str) -> str:
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(text))


def post(client, answer, exam="P01/2026-03-14", **more):
    return client.post("/answer", data={"key": key_of(client.get("/").text), "exam": exam, "answer": answer, **more})


@pytest.mark.parametrize(
    "path", ["/", "/?token=wrong", "/?token=", "/api/worklist", "/files/P01/2026-03-14/report.html"]
)
def test_strangers_see_nothing(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert "P01" not in answer.text


def test_a_stranger_cannot_answer(stranger, out):
    assert stranger.post("/answer", data={"exam": "P01/2026-03-14", "answer": "read"}).status_code == 401
    assert not (out / FILE_NAME).exists()


def test_the_link_gives_a_cookie_that_is_not_the_token(stranger):
    answer = stranger.get("/", params={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert answer.headers["location"] == "/"
    assert stranger.get("/").status_code == 200
    stranger.cookies.clear()
    assert stranger.get("/", headers={"Cookie": f"{COOKIE}={TOKEN}"}).status_code == 401


def test_another_host_name_or_site_is_refused(reader):
    assert reader.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert reader.get("/", headers={"Origin": "http://evil.example"}).status_code == 403
    assert reader.get("/", headers={"Origin": str(reader.base_url).rstrip("/")}).status_code == 200


def test_every_exam_is_on_the_page_in_reading_order(reader):
    text = seen(reader.get("/").text)
    places = [text.index(name) for name in ("P01", "P03", "P02")]
    assert places == sorted(places)
    assert "RESEARCH USE ONLY" in text
    for said in ("colitis", "0.91 at 0.42", "+ new colitis", "iRECIST iPR or iUPD", "new lesion",
                 "⊘ not analysed", "⊘ not assessable thyroiditis", "✓ none suspected", "limited", "truncated fov",
                 "1 d", "5 d"):
        assert said in text, said


def test_columns_come_in_the_order_readers_expect(reader):
    head = re.findall(r"<th>(.*?)</th>", reader.get("/").text)[:12]
    assert head == ["Urgency", "Study", "Modality", "Age of scan", "Patient", "Suspected", "P at threshold", "Change",
                    "Quality", "New lesion, response", "Version", "Read by / dismissed"]


def test_text_of_the_archive_is_escaped(reader):
    assert "&lt;b&gt;12&lt;/b&gt; slices" in reader.get("/").text


def test_a_first_exam_has_no_new_lesion_and_quality_names_gaps_only(reader, out):
    first = entry("P09/2026-03-01", notices=["hot_threshold", "no_baseline"], limits=["no_baseline"], qc="limited")
    (out / "worklist.json").write_text(json.dumps({"exams": [first]}))
    text = seen(reader.get("/").text)
    assert "first exam: nothing is known to be new" in text
    assert "limited no baseline" in text
    assert "hot threshold" not in text
    assert "false flag" not in text


def test_a_flag_is_dismissed_with_one_click_and_stays_on_the_page(reader, out):
    assert post(reader, "dismissed", reason="metformin").status_code == 303
    text = seen(reader.get("/").text)
    assert "dismissed: metformin" in text
    assert "2 to read, 1 answered" in text
    assert text.index("Answered by a reader") < text.rindex("P01")
    recorded = json.loads((out / FILE_NAME).read_text())
    assert (recorded["exam"], recorded["reason"], recorded["suspected"]) == ("P01/2026-03-14", "metformin", ["colitis"])
    assert reader.get("/api/worklist").json()["exams"][0]["answer"]["reason"] == "metformin"
    assert post(reader, "reopened").status_code == 303
    assert "3 to read, 0 answered" in seen(reader.get("/").text)


def test_who_read_is_recorded(reader, out):
    key = key_of(reader.get("/").text)
    reader.post("/reader", data={"key": key, "reader": "Dr. A-B; Path=/evil\r\nX: y"})
    post(reader, "read", exam="P02/2026-03-10")
    assert json.loads((out / FILE_NAME).read_text())["reader"] == "Dr. A-B PathevilX y"


@pytest.mark.parametrize(("fields", "status"), [
    ({"answer": "dismissed"}, 422), ({"answer": "dismissed", "reason": "boredom"}, 422), ({"answer": "deleted"}, 422),
    ({"answer": "read", "exam": "P99/2026-01-01"}, 404), ({"answer": "read", "key": "0" * 64}, 403),
    ({"answer": "read", "reason": "x" * 5000}, 403),
])
def test_wrong_answers_are_refused_and_nothing_is_written(reader, out, fields, status):
    data = {"key": key_of(reader.get("/").text), "exam": "P01/2026-03-14"} | fields
    assert reader.post("/answer", data=data).status_code == status
    assert not (out / FILE_NAME).exists()


def test_reports_are_served(reader):
    answer = reader.get("/files/P01/2026-03-14/report.html")
    assert answer.status_code == 200
    assert "report of P01" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    for name in HEADERS:
        assert name in answer.headers


@pytest.mark.parametrize("path", [
    "../report.html", "P01/../../report.html", "/etc/passwd", "ledger.sqlite", "P01", "P01/2026-03-14/missing.html",
    "P01/.aside-2026-03-14-77/report.html", "link/report.html", "x\x00report.html", "loop/report.html",
])
def test_nothing_else_is_served(out, reader, path):
    hidden = out / "P01" / ".aside-2026-03-14-77"
    hidden.mkdir()
    (hidden / "report.html").write_text("half-written")
    (out / "link").symlink_to(out.parent)
    (out / "loop").symlink_to(out / "loop")
    assert inside(out.resolve(), path) is None
    quoted = path.replace("..", "%2e%2e").replace("\x00", "%00")
    assert reader.get(f"/files/{quoted}").status_code == 404


def test_an_empty_folder_says_so(tmp_path):
    with served(tmp_path) as client:
        assert "no worklist.json" in client.get("/", params={"token": TOKEN}, follow_redirects=True).text


def test_a_broken_list_is_said_not_hidden(reader, out):
    (out / "worklist.json").write_text('{"exams": [{"patient": "P01"}]}')
    answer = reader.get("/")
    assert answer.status_code == 500
    assert "worklist.json cannot be read" in answer.text


def test_only_loopback_is_served(tmp_path):
    with pytest.raises(ValueError, match="loopback only"):
        serve(tmp_path, host="0.0.0.0")
    with pytest.raises(ValueError, match="16 characters"):
        Keys("short")
    assert Keys().token != Keys().token
