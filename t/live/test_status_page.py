"""SetHandler acme-status: for people, for programs, and against hostile words."""

import json
import time
from html.parser import HTMLParser

import pytest
from prometheus_client.parser import text_string_to_metric_families

from . import faults
from .proc import wait_until

SHOP, BLOG = "shop.example.org", "blog.example.org"
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
                  "renew: a third of the lifetime left", "shown the proof by"):  # fmt: skip
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
    said = [event["text"] for event in shop["keys"][0]["events"]]
    steps = ["begun: order: no certificate yet", f"http-01 is shown for {SHOP}",
             "issued by Fake Intermediate", "in service"]  # fmt: skip
    assert [text for text in said if text in steps] == steps
    issued.graceful()
    (again,) = data(issued, f"certificate={SHOP}")["certificates"]
    assert [event["text"] for event in again["keys"][0]["events"]] == said
    assert f"http-01 is shown for www.{SHOP}" in page(issued, f"certificate={SHOP}").text()


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


def test_hostile_words_of_a_ca_stay_text(httpd, make_fakeca):
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
    httpd.acme_status("").body.decode()
    families = text_string_to_metric_families(httpd.acme_status("format=prometheus").text)
    codes = next(f for f in families if f.name == "acme_certificate_error_code").samples
    assert [f"ACME{int(s.value):04}" for s in codes] == [key["error"]["code"]]
