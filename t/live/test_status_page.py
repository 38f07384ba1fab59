"""SetHandler acme-status: for people, for programs, and against hostile words."""

import json
import os
import re
import subprocess
import time
from html.parser import HTMLParser

import pytest
from prometheus_client.parser import text_string_to_metric_families

from . import faults
from .proc import wait_until

SHOP, BLOG = "shop.example.org", "blog.example.org"
CLOSED = "https://127.0.0.1:9/directory"
HOSTILE = '</dd><script>alert(1)</script>"\'&\\\x1b[31m\n\u202e' + "\u00fc" * 2000
VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """Refuses tags that do not nest; keeps what there is."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID | {"option", "li", "dt", "dd"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"option", "li", "dt", "dd"}:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def names(self):
        return [tag for tag, _ in self.tags]

    def text(self):
        return " ".join("".join(self.words).split())


def page(httpd, query=""):
    reply = httpd.acme_status(query)
    assert reply.status == 200
    return Page(reply.text)


def data(httpd, query=""):
    return json.loads(httpd.acme_status(f"format=json&{query}").body)


def wait_state(httpd, name, state):
    def reached():
        (found,) = data(httpd, f"certificate={name}")["certificates"]
        return found if found["keys"][0]["state"] == state else None

    return wait_until(reached, 30, lambda: f"{name} is {state}: {data(httpd)}")


@pytest.fixture
def issued(httpd, make_fakeca):
    ca = make_fakeca(validate="http", http_port=httpd.http_port)
    httpd.acme(ca, "AcmeChallenges http-01")
    for name in (SHOP, BLOG):
        httpd.vhost(name, aliases=[f"www.{name}"], https_extra="AcmeManage on")
    httpd.start()
    for name in (SHOP, BLOG):
        wait_state(httpd, name, "valid")
    return httpd


def test_page_tells_of_each_certificate(issued):
    shown = page(issued)
    for words in (SHOP, BLOG, f"www.{SHOP}", "Fake Intermediate", "ecdsa-p256", "in 89 days",
                  ": a third of the lifetime left", "shown the proof by"):  # fmt: skip
        assert words in shown.text()
    assert "script" not in shown.names()
    labels = [attrs["for"] for tag, attrs in shown.tags if tag == "label"]
    assert labels == [attrs["id"] for tag, attrs in shown.tags if tag in ("input", "select")]
    assert not any("style" in attrs for _, attrs in shown.tags)


def test_headers_and_methods(issued):
    reply = issued.acme_status("")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    style = issued.acme_status("format=css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "prefers-color-scheme:dark" in style.text
    for method, status in (("HEAD", 200), ("POST", 405), ("DELETE", 405), ("OPTIONS", 405)):
        answer = issued.get("/acme-status", port=issued.admin_port, method=method)
        assert (answer.status, method) == (status, method)
    assert issued.acme_status("format=xml").status == 400


def test_search_and_states(issued):
    assert data(issued, "search=SHOP")["matching"] == 1
    assert [c["name"] for c in data(issued, "search=www.blog")["certificates"]] == [BLOG]
    assert data(issued, "state=valid")["matching"] == 2
    assert data(issued, "state=error")["matching"] == 0
    assert data(issued, "state=error&page=99")["page"] == 1
    assert "No certificate is like that" in page(issued, "search=nobody").text()
    assert "www.blog" not in page(issued, f"certificate={SHOP}").text()
    for odd in ("search=%00", "search=%zz", "page=-1", "page=9999999999999", "search=" + "x" * 4000,
                "&&==&", "certificate=%22%3E%3Cscript%3E"):  # fmt: skip
        assert "script" not in page(issued, odd).names()


def test_json_has_what_its_documentation_says(issued):
    found = data(issued)
    assert (found["version"], found["total"], found["pages"]) == (1, 2, 1)
    assert found["states"]["valid"] == 2
    shop = next(c for c in found["certificates"] if c["name"] == SHOP)
    assert shop["names"] == [SHOP, f"www.{SHOP}"] and shop["in_use"] is True
    (key,) = shop["keys"]
    assert key["type"] == "ecdsa-p256" and key["set"] == 1 and key["error"] is None
    assert key["next"]["action"] == "renew" and key["next"]["time"].endswith("Z")
    assert {visit["name"] for visit in shop["visits"]} == {SHOP, f"www.{SHOP}"}
    assert all(visit["answered"] and visit["status"] == 200 for visit in shop["visits"])
    assert issued.get("/acme-status?format=json", port=issued.admin_port).text.isascii()


def test_time_line_outlives_a_graceful_restart(issued):
    (shop,) = data(issued, f"certificate={SHOP}")["certificates"]
    assert data(issued, f"certificate=WWW.{SHOP}")["certificates"] == [shop]
    assert "<nav" not in issued.acme_status("").text
    said = [event["text"] for event in shop["keys"][0]["events"]]
    steps = ["begun: order: no certificate yet", f"http-01 is shown for {SHOP}",
             "issued by Fake Intermediate", "in service"]  # fmt: skip
    assert [text for text in said if text in steps] == steps
    issued.graceful()
    (again,) = data(issued, f"certificate={SHOP}")["certificates"]
    assert [event["text"] for event in again["keys"][0]["events"]] == said
    assert f"http-01 is shown for www.{SHOP}" in page(issued, f"certificate={SHOP}").text()


def test_time_line_tells_of_an_order_that_went_on(httpd, make_fakeca):
    ca = make_fakeca()
    ca.script("finalize", faults.silence(), when="before")
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    ca.wait_request("finalize")
    httpd.graceful()
    (key,) = wait_state(httpd, SHOP, "valid")["keys"]
    said = [event["text"] for event in key["events"]]
    assert len([text for text in said if text.startswith("resumed: order is ")]) == 1
    assert len(ca.certs) == 1


def test_prometheus_reads_it(issued):
    reply = issued.acme_status("format=prometheus")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {f.name: f for f in text_string_to_metric_families(reply.text)}
    assert all(f.documentation and f.type == "gauge" for f in families.values())
    states = families["acme_certificate_state"].samples
    assert {(s.labels["certificate"], s.labels["state"], s.value) for s in states} == {
        (SHOP, "valid", 1.0),
        (BLOG, "valid", 1.0),
    }
    for sample in families["acme_certificate_not_after_timestamp_seconds"].samples:
        assert sample.value > time.time()


def test_trouble_is_a_click_away_and_said_once(httpd, make_fakeca):
    ca = make_fakeca()
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra=f"AcmeManage on\nAcmeCA {CLOSED}")
    httpd.start()
    (key,) = wait_state(httpd, SHOP, "error")["keys"]
    assert key["error"]["text"].count(CLOSED) == 1
    shown = page(httpd)
    assert ("a", {"href": "?state=error"}) in shown.tags
    assert re.search(r"retry in \d+ seconds, 2\d{3}-\S+Z: no certificate yet", shown.text())


def test_mod_status_links_to_the_page_of_its_host(issued):
    section = issued.get("/server-status", port=issued.admin_port).text
    assert '<a href="/acme-status">More of each</a>' in section


def browse(httpd, folder, query="", *options):
    """(DOM, what it complained of, screenshot) of a page in headless Chromium."""
    url = f"http://127.0.0.1:{httpd.admin_port}/acme-status?{query}"
    argv = ["chromium", "--headless=new", "--disable-gpu", "--hide-scrollbars",
            "--enable-logging=stderr", f"--user-data-dir={folder}/profile", *options]  # fmt: skip
    if os.geteuid() == 0:
        argv.append("--no-sandbox")
    picture = folder / "page.png"
    subprocess.run([*argv, f"--screenshot={picture}", url], check=True, timeout=60, capture_output=True)
    done = subprocess.run([*argv, "--dump-dom", url], check=True, timeout=60, capture_output=True,
                          text=True)  # fmt: skip
    return done.stdout, re.findall(r".*CONSOLE.*", done.stderr), picture.read_bytes()


def test_browser_shows_the_page_and_refuses_nothing(issued, tmp_path):
    dom, said, by_day = browse(issued, tmp_path)
    assert not said
    assert SHOP in dom and "?state=" not in Page(dom).text()
    _, said, by_night = browse(issued, tmp_path, "", "--force-dark-mode")
    assert not said
    assert by_day.startswith(b"\x89PNG") and by_night.startswith(b"\x89PNG") and by_day != by_night
    dom, said, _ = browse(issued, tmp_path, f"certificate={SHOP}", "--window-size=390,844")
    assert not said and BLOG not in Page(dom).text()


def luminance(color):
    digits = color[1:] if len(color) == 7 else "".join(2 * c for c in color[1:])
    parts = [int(digits[i:i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """As WCAG 2.1 has it."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_can_be_told_apart_by_day_and_by_night(issued):
    style = issued.acme_status("format=css").text
    schemes = [dict(re.findall(r"--(\w+):(#[0-9a-f]{3,6})", s))
               for s in re.findall(r":root{([^}]*)}", style)]
    assert len(schemes) == 2
    for colours in schemes:
        on_card = [(name, "card") for name in ("text", "soft", "link", "bad")]
        on_page = [(name, "bg") for name in ("text", "soft", "link")]
        chips = [(name, f"{name}bg") for name in ("ok", "busy", "bad", "calm")]
        for front, back in on_card + on_page + chips:
            assert contrast(colours[front], colours[back]) >= 4.5, (front, back)


def test_hostile_words_of_a_ca_stay_text(httpd, make_fakeca, tmp_path):
    ca = make_fakeca()
    ca.script("new-order", faults.problem("rejectedIdentifier", HOSTILE), times=None)
    httpd.acme(ca)
    httpd.vhost(SHOP, https_extra="AcmeManage on")
    httpd.start()
    (key,) = wait_state(httpd, SHOP, "error")["keys"]
    assert "<script>alert(1)</script>" in key["error"]["text"]
    assert key["error"]["text"].isprintable() and key["error"]["remedy"]
    shown = page(httpd)
    assert "script" not in shown.names()
    assert "<script>alert(1)</script>" in shown.text()
    assert key["error"]["code"] in shown.text() and key["error"]["remedy"] in shown.text()
    dom, said, _ = browse(httpd, tmp_path)
    assert not said and "<script" not in dom and "&lt;script" in dom
    families = text_string_to_metric_families(httpd.acme_status("format=prometheus").text)
    codes = next(f for f in families if f.name == "acme_certificate_error_code").samples
    assert [f"ACME{int(s.value):04}" for s in codes] == [key["error"]["code"]]
