"""The benchmark works: one tiny run, and the judge of early polls."""
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from measures.issue import early_polls  # noqa: E402


def line(path, sent, got, retry_after=None, status=200):
    found = {"path": path, "sent": sent, "got": got, "status": status}
    if retry_after is not None:
        found["retry_after"] = retry_after
    return found


def test_early_polls_second_before_its_time_is_found():
    asked = [line("/authZ/a", 10.0, 10.1, "3"),
             line("/authZ/a", 12.0, 12.1, "3"),
             line("/authZ/a", 15.1, 15.2)]
    found = early_polls(asked)
    assert [each["sent"] for each in found] == [12.0]
    assert abs(found[0]["too_early"] - 1.1) < 1e-6


def test_early_polls_date_is_understood():
    date = "Thu, 01 Jan 1970 00:00:20 GMT"
    asked = [line("/authZ/a", 10.0, 10.1, date),
             line("/authZ/a", 19.9, 20.0), line("/authZ/a", 20.1, 20.2)]
    assert [each["sent"] for each in early_polls(asked)] == [19.9]


def test_early_polls_finalize_speaks_for_its_order():
    asked = [line("/finalize-order/a", 10.0, 10.1, "5"),
             line("/my-order/a", 11.0, 11.1),
             line("/my-order/b", 11.0, 11.1)]
    assert [each["path"] for each in early_polls(asked)] == ["/my-order/a"]


def test_early_polls_refused_nonce_keeps_the_time_told():
    asked = [line("/authZ/a", 10.0, 10.1, "3"),
             line("/authZ/a", 13.2, 13.3, status=400),
             line("/authZ/a", 13.3, 13.4)]
    assert early_polls(asked) == []


def test_bench_tiny_run_measures_everything(tmp_path):
    out = tmp_path / "bench.json"
    run = subprocess.run([HERE / "run", "--tiny", "--json", out],
                         capture_output=True, text=True, timeout=300,
                         check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads(out.read_text())
    measured = {(row["measure"], row["subject"]) for row in result["rows"]}
    for measure in ("issue", "alpn", "start", "handshake", "tokens", "idle",
                    "swap", "ari"):
        assert (measure, "acme") in measured, measure
