"""Coming from mod_md and certbot: what the real ones have made is served on, and nothing is ordered anew."""

import json
import os
import re
import subprocess
import sys

import pytest

from . import httpd as httpd_module
from .proc import wait_until
from .test_accounts_cli import registrations
from .test_issue import ALIAS, SHOP, acmectl, serial

OTHER = "other.example.org"
RSA = "rsa_pss_rsae_sha256"
CERTBOT = "import sys; from certbot.main import main; sys.exit(main())"

needs_md = pytest.mark.skipif(
    not (httpd_module._modules_dir() / "mod_md.so").exists(), reason="needs mod_md"
)


def orders(pebble):
    found = re.findall(r"There are now (\d+) orders in the db", pebble.log.read_text())
    return int(found[-1]) if found else 0


def migrate(httpd, program, *args, code=0):
    done = acmectl(httpd, "migrate", program, "--config", httpd.conf, *args)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def use(httpd, text):
    """The configuration that acmectl wrote, in place of all before."""
    httpd.clear_config().load_acme()
    return httpd.config(text)


def ports(httpd):
    return f"AcmePortMap 80:{httpd.http_port} 443:{httpd.https_port}\nAcmeDnsWait 0\n"


def goes_on(httpd, pebble, before):
    """The CA is asked when to renew, and one more order is made with the account there is."""
    httpd.wait_log(r"ACME153[01]: ")
    assert acmectl(httpd, "renew", SHOP).returncode == 0
    assert serial(httpd.served_cert(SHOP)) != before
    assert registrations(pebble) == 1


# mod_md


def md_config(httpd, pebble, extra=""):
    httpd.store = httpd.folder / "store"
    httpd.md_store = httpd.folder / "md"
    if "md" not in httpd.modules:
        httpd.modules.append("md")
    return httpd.config(
        f"MDStoreDir {httpd.md_store}\n"
        f"MDCertificateAuthority {pebble.directory_url}\n"
        f"MDCACertificateFile {pebble.ca_file}\n"
        "MDCertificateAgreement accepted\n"
        "MDContactEmail admin@example.org\n"
        f"MDPortMap http:{httpd.http_port} https:{httpd.https_port}\n"
        "MDPrivateKeys secp256r1 rsa2048\n"
        f"MDomain {SHOP}\n"
        f"<MDomainSet {OTHER}>\n    MDPrivateKeys rsa3072\n    MDWarnWindow 12%\n</MDomainSet>\n"
        + extra
    )


def md_hosts(httpd):
    httpd.vhost(SHOP, [ALIAS])
    httpd.vhost(OTHER)


def md_issues(httpd, pebble, adopt=True):
    """A server with mod_md that has got its certificates; adopt: and serves them."""
    md_config(httpd, pebble)
    md_hosts(httpd)
    httpd.start()

    def finished():
        jobs = list(httpd.md_store.glob("staging/*/job.json"))
        return len(jobs) == 2 and all(json.loads(job.read_text()).get("finished") for job in jobs)

    wait_until(finished, 60, "mod_md has its certificates")
    if adopt:
        httpd.graceful()
        httpd.wait_cert(OTHER, lambda served: "Pebble" in served.issuer)
        httpd.wait_cert(SHOP, lambda served: "Pebble" in served.issuer)


def all_serials(httpd):
    return [
        serial(httpd.served_cert(SHOP)),
        serial(httpd.served_cert(SHOP, sigalgs=RSA)),
        serial(httpd.served_cert(OTHER, sigalgs=RSA)),
    ]


@needs_md
def test_md_is_left_without_a_new_order(httpd, pebble):
    md_issues(httpd, pebble)
    serials, ordered = all_serials(httpd), orders(pebble)
    written = httpd.folder / "acme.conf"
    done = migrate(httpd, "md", "--output", written)  # while mod_md serves on
    assert "1 account and 3 certificates were taken over" in done.stderr
    text = written.read_text()
    assert "AcmeContact admin@example.org" in text and "AcmeManage on" in text
    assert f"<AcmeCertificate {SHOP} {ALIAS}>" in text
    assert re.search(rf"<AcmeCertificate {OTHER}>\n    AcmeKeyType rsa3072\n    AcmeWarn 12%\n", text)
    place = re.search(r"#   (\S+):(\d+)  MDomain\n", text)
    assert place.group(1) == str(httpd.conf)
    line = httpd.conf.read_text().splitlines()[int(place.group(2)) - 1]
    assert line == f"MDomain {SHOP}"
    httpd.modules.remove("md")
    use(httpd, f"Include {written}\nAcmeDnsWait 0")
    md_hosts(httpd)
    httpd.restart()
    assert all_serials(httpd) == serials
    assert not httpd.served_cert(SHOP).self_signed
    goes_on(httpd, pebble, serials[0])
    assert orders(pebble) == ordered + 2  # both keys of SHOP
    assert "MDomain" not in httpd.conf.read_text()


@needs_md
def test_md_certificates_that_waited_for_a_restart_are_taken(httpd, pebble):
    md_issues(httpd, pebble, adopt=False)
    ordered = orders(pebble)
    done = migrate(httpd, "md")
    assert "1 account and 3 certificates were taken over" in done.stderr
    httpd.modules.remove("md")
    use(httpd, done.stdout + "AcmeDnsWait 0\n")
    md_hosts(httpd)
    httpd.restart()
    httpd.wait_cert(SHOP, lambda served: "Pebble" in served.issuer)
    httpd.wait_cert(OTHER, lambda served: "Pebble" in served.issuer)
    assert orders(pebble) == ordered and registrations(pebble) == 1


@needs_md
def test_md_can_be_migrated_again_and_shown_before(httpd, pebble):
    md_issues(httpd, pebble)
    before = sorted(path.name for path in httpd.folder.iterdir())
    shown = migrate(httpd, "md", "--dry-run", "--output", httpd.folder / "none")
    assert "would be taken over" in shown.stderr
    assert sorted(path.name for path in httpd.folder.iterdir()) == before
    first = migrate(httpd, "md")
    assert first.stdout == shown.stdout
    again = migrate(httpd, "md")
    assert "0 accounts and 0 certificates were taken over" in again.stderr
    assert "4 were there already" in again.stderr


@needs_md
def test_md_that_is_not_there_is_told(httpd, pebble):
    md_config(httpd, pebble)
    md_hosts(httpd)
    httpd.write_config()
    told = migrate(httpd, "md", code=1).stderr
    assert "ACME1941: " in told and str(httpd.md_store) in told
    httpd.clear_config()
    httpd.write_config()
    httpd.md_store.mkdir()
    (httpd.md_store / "md_store.json").write_text('{"key": "AAAA"}')
    told = migrate(httpd, "md", "--from", httpd.md_store, code=1).stderr
    assert "ACME1945: " in told and "no MDomain" in told
    done = acmectl(httpd, "migrate", "md", "--config", "/nonexistent/httpd.conf")
    assert done.returncode == 1 and "/nonexistent/httpd.conf" in done.stderr
    assert not httpd.store.exists()


@needs_md
def test_md_directives_in_words_of_mod_acme(httpd, pebble, live_dir):
    """Everything that mod_md knows is told, has an equivalent, or a reason; and httpd takes it."""
    for name in ("hook", "dns"):
        (live_dir / name).write_text("#!/bin/sh\n")
        (live_dir / name).chmod(0o755)
    binding = live_dir / "eab.json"
    binding.write_text(json.dumps({"kid": "kid-1", "hmac": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}))
    included = live_dir / "more.conf"
    included.write_text(
        f"MDNotifyCmd {live_dir}/hook a\nMDChallengeDns01 {live_dir}/dns\nMDStoreLocks on\n"
    )
    md_config(
        httpd,
        pebble,
        f"""
        Define WINDOW 21d
        MDRenewWindow ${{WINDOW}}
        MDRenewViaARI off
        MDRenewMode always
        MDWarnWindow 7
        MDMustStaple off
        MDCAChallenges http-01 \\
            tls-alpn-01
        MDProfile shortlived
        MDProfileMandatory on
        MDHttpProxy http://127.0.0.1:3128
        MDMessageCmd {live_dir}/hook "with space"
        MDExternalAccountBinding {binding}
        MDRequireHttps temporary
        MDServerStatus off
        MDRetryDelay 10
        <IfModule mod_nothing.c>
            MDContactEmail nobody@example.org
        </IfModule>
        <IfModule md_module>
            MDStapling on
            MDActivationDelay 1d
        </IfModule>
        Include {included}
        """,
    )
    md_hosts(httpd)
    httpd.write_config()
    subprocess.run(
        ["/usr/sbin/apache2", "-t", "-f", httpd.conf], env=httpd.env, check=True, capture_output=True
    )
    httpd.md_store.mkdir()
    (httpd.md_store / "md_store.json").write_text('{"key": "AAAA"}')
    text = migrate(httpd, "md").stdout
    for line in (
        "AcmeRenew 21d noari",
        "AcmeRenewMode always",
        "AcmeWarn 7d",
        "AcmeMustStaple off",
        "AcmeChallenges http-01 tls-alpn-01",
        "AcmeProfile shortlived required",
        "AcmeProxy http://127.0.0.1:3128",
        f'AcmeOn renewing,renewed,installed,expiring,errored {live_dir}/hook "with space"',
        f"AcmeOn renewed {live_dir}/hook a",
        "AcmeExternalAccount kid-1 c2VjcmV0LXNlY3JldC1zZWNyZXQ",
        "AcmeRequireHttps temporary",
        "AcmeStatus off",
        "AcmeRetry 10s",
        "AcmeActivateDelay 1d",
        f"AcmeDnsCommand /usr/local/libexec/mod_acme/dns-mod_md {live_dir}/dns",
        f"<AcmeCertificate {SHOP} {ALIAS}>",
    ):
        assert line in text.splitlines(), line
    assert "nobody@" not in text and "acmectl does not know" not in text
    for remark in ("MDStapling: ", "MDStoreLocks: "):
        assert remark in text
    assert re.search(rf"#   {included}:3  MDStoreLocks", text)
    known = subprocess.run(
        ["strings", httpd_module._modules_dir() / "mod_md.so"], capture_output=True, text=True, check=True
    ).stdout
    words = set(re.findall(r"^MD[A-Z][A-Za-z0-9]+$", known, re.MULTILINE))
    assert len(words) > 40
    httpd.config("\n".join(f"{word} x" for word in sorted(words - {"MDChallengeDns01"})))
    httpd.write_config()
    assert "acmectl does not know" not in migrate(httpd, "md", "--from", httpd.md_store).stdout
    httpd.modules.remove("md")
    use(httpd, text.replace("/usr/local/libexec/mod_acme/dns-mod_md", str(live_dir / "dns")))
    httpd.config("AcmeChallenges dns-01")
    md_hosts(httpd)
    tested = httpd.configtest()
    assert tested.returncode == 0 and "Syntax OK" in tested.stderr, tested.stderr


@needs_md
def test_md_and_acme_on_one_host_is_refused_in_words(httpd, pebble):
    """mod_md keeps it; hosts of either are not in each other's way."""
    md_config(httpd, pebble)
    httpd.acme(pebble)
    httpd.vhost(SHOP, [ALIAS], https_extra="AcmeManage on")
    httpd.vhost(OTHER, https_extra="AcmeManage on")
    httpd.vhost("free.example.org", https_extra="AcmeManage on")
    tested = httpd.configtest()
    assert tested.returncode == 0
    for name in (SHOP, OTHER):
        assert re.search(rf"ACME1946: .* host {name} \({httpd.conf}:\d+\) to mod_md", tested.stderr)
    httpd.start()
    httpd.wait_cert("free.example.org")
    httpd.wait_log(r"ACME1946: ")
    told = acmectl(httpd, "status", "--json").stdout
    assert "free.example.org" in told and SHOP not in told
    wait_until(lambda: len(list(httpd.md_store.glob("staging/*/pubcert*"))) >= 3, 60, "mod_md goes on")
    httpd.graceful()
    httpd.wait_cert(SHOP, lambda served: "Pebble" in served.issuer)


# certbot


def certbot(httpd, pebble, *args):
    pytest.importorskip("certbot")
    folder = httpd.folder / "letsencrypt"
    done = subprocess.run(
        [sys.executable, "-c", CERTBOT, *args, "--non-interactive", "--server", pebble.directory_url,
         "--agree-tos", "--email", "admin@example.org", "--config-dir", folder,
         "--work-dir", httpd.folder / "certbot.work", "--logs-dir", httpd.folder / "certbot.logs"],
        env={**os.environ, "REQUESTS_CA_BUNDLE": str(pebble.ca_file)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def certbot_hosts(httpd, folder=None):
    for name, aliases, lineage in ((SHOP, [ALIAS], SHOP), (OTHER, [], "second")):
        live = folder and folder / "live" / lineage
        httpd.vhost(name, aliases, cert=live and (live / "fullchain.pem", live / "privkey.pem"))


def certbot_serves(httpd, pebble):
    """httpd with two certificates of certbot's, and one that is nobody's here."""
    httpd.store = httpd.folder / "store"
    httpd.vhost(SHOP, [ALIAS], https=False)
    root = httpd.vhost(OTHER, https=False)
    httpd.start()
    webroot = ("certonly", "--webroot", "--webroot-path")
    folder = certbot(
        httpd, pebble, *webroot, httpd.htdocs / SHOP, "-d", f"{SHOP},{ALIAS}", "--key-type", "ecdsa"
    )
    certbot(
        httpd, pebble, *webroot, root, "-d", OTHER, "--cert-name", "second", "--key-type", "rsa",
        "--rsa-key-size", "3072", "--reuse-key", "--deploy-hook", "/bin/true",
    )  # fmt: skip
    certbot(httpd, pebble, *webroot, root, "-d", OTHER, "--cert-name", "mail", "--force-renewal")
    httpd.clear_config()
    certbot_hosts(httpd, folder)
    httpd.restart()
    return folder


def test_certbot_is_left_without_a_new_order(httpd, pebble):
    folder = certbot_serves(httpd, pebble)
    serials = [serial(httpd.served_cert(name)) for name in (SHOP, OTHER)]
    ordered = orders(pebble)
    done = migrate(httpd, "certbot", "--from", folder)
    text = done.stdout
    assert "1 account and 2 certificates were taken over" in done.stderr
    assert "ACME1943: the certificate mail " in done.stderr
    assert f"<AcmeCertificate {SHOP} {ALIAS}>\n    AcmeKeyType ecdsa-p256\n</" in text
    assert f"<AcmeCertificate {OTHER}>\n    AcmeKeyType rsa3072\n    AcmeKeyReuse on\n</" in text
    assert "renew_hook = /bin/true" in text and "certbot delete --cert-name second" in text
    config = httpd.conf.read_text().splitlines()
    named = re.findall(rf"#   {re.escape(str(httpd.conf))}:(\d+)  (SSLCert.*)", text)
    assert len(named) == 4
    assert all(config[int(line) - 1] == directive for line, directive in named)
    again = migrate(httpd, "certbot", "--from", folder)
    assert again.stdout == text and "3 were there already" in again.stderr
    use(httpd, f"AcmeCATrustFile {pebble.ca_file}\n" + ports(httpd) + text)
    certbot_hosts(httpd)
    httpd.restart()
    assert [serial(httpd.served_cert(name)) for name in (SHOP, OTHER)] == serials
    goes_on(httpd, pebble, serials[0])
    assert orders(pebble) == ordered + 1
    key = httpd.served_cert(OTHER).leaf.public_key().public_numbers()
    assert acmectl(httpd, "renew", OTHER).returncode == 0
    served = httpd.served_cert(OTHER)
    assert serial(served) != serials[1] and served.leaf.public_key().public_numbers() == key


def test_certbot_with_all_and_with_damage(httpd, pebble):
    folder = certbot_serves(httpd, pebble)
    done = migrate(httpd, "certbot", "--from", folder, "--all", "--dry-run")
    assert "1 account and 3 certificates would be taken over" in done.stderr
    assert done.stdout.count(f"<AcmeCertificate {OTHER}>") == 1  # both of its keys are in one
    assert "AcmeKeyType ecdsa-p256 rsa3072" in done.stdout
    (registration,) = folder.glob("accounts/*/*/*/regr.json")
    at = pebble.directory_url.split("/")[2]
    registration.write_text(registration.read_text().replace(f"//{at}/", f"//{at}0/"))  # of another CA
    (folder / "archive/second/privkey1.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    done = migrate(httpd, "certbot", "--from", folder, "--all")
    assert "1 account and 2 certificates were taken over" in done.stderr  # SHOP and mail
    (account,) = httpd.store.glob("accounts/*/account.json")
    assert f"{at}/" in account.read_text() and f"{at}0/" not in account.read_text()
    assert re.search(r"ACME1943: the certificate second is not taken over: .*privkey", done.stderr)
    assert f"<AcmeCertificate {OTHER}>" in done.stdout
    done = migrate(httpd, "certbot", "--from", httpd.folder / "none", code=1)
    assert "ACME1941: " in done.stderr
    httpd.clear_config()
    httpd.write_config()
    done = migrate(httpd, "certbot", "--from", folder, code=1)
    assert "ACME1945: " in done.stderr


def test_configuration_is_followed_as_httpd_does(httpd, live_dir):
    httpd.store = httpd.folder / "store"
    store = live_dir / "state/md"
    store.mkdir(parents=True)
    (store / "md_store.json").write_text('{"key": "AAAA"}')
    parts = {
        "apache2.conf": f"""
            ServerRoot "{live_dir}"
            DefaultStateDir state
            User ${{RUN_USER}}
            IncludeOptional mods/*.load
            Define given
            Include sites
            IncludeOptional nothing/*.conf
            Include missing.conf
            <IfModule !mod_md.c>
                MDomain not.example.org
            </IfModule>
            <IfDefine !given>
                MDomain nor.example.org
            </IfDefine>
            <IfDefine given>
                <IfModule md_module>
                    MDomain "one.example.org" \\
                        two.example.org manual
                </IfModule>
            </IfDefine>
            Use Shop three.example.org
            # MDomain comment.example.org
            """,
        "envvars": "export RUN_USER=www-data\nexport OTHER=$(rm -rf /)\n",
        "mods/md.load": "LoadModule md_module /usr/lib/apache2/modules/mod_md.so\n",
        "sites/a/four.conf": "<VirtualHost *:443>\nServerName four.example.org:443\n"
        "ServerAlias 4.example.org\nMDWarnWindow 20d\n</VirtualHost>\n",
        "sites/b.conf": "<MDomainSet four.example.org>\nMDMember five.example.org\n</MDomainSet>\n",
    }
    for name, text in parts.items():
        path = live_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    httpd.conf = live_dir / "apache2.conf"
    text = migrate(httpd, "md", "--dry-run").stdout
    assert "<AcmeCertificate one.example.org two.example.org>" in text
    assert "<AcmeCertificate four.example.org five.example.org 4.example.org>" in text
    assert text.count("<AcmeCertificate") == 2
    assert "\nAcmeWarn" not in text and "four.conf:4  MDWarnWindow: it stands in a virtual host" in text
    assert f"#   {live_dir}/sites/b.conf:1  <MDomainSet" in text
    assert f"#   {live_dir}/mods/md.load:1  LoadModule md_module" in text
    assert f"#   {httpd.conf}:9  {live_dir}/missing.conf: there is none" in text
    assert "Use Shop three.example.org: macros are not followed" in text
    (live_dir / "sites/loop.conf").write_text(f"Include {httpd.conf}\n")
    done = migrate(httpd, "md", "--dry-run", code=1)
    assert "ACME1940: " in done.stderr and "includes itself" in done.stderr


def test_migration_waits_for_a_server_that_is_stopped(acme_httpd, pebble):
    """The engine of a running server would not know what came in behind its back."""
    acme_httpd.vhost("free.example.org", https_extra="AcmeManage on")
    acme_httpd.start()
    acme_httpd.wait_cert("free.example.org")
    acme_httpd.modules.append("md")
    folder = acme_httpd.folder / "md"
    folder.mkdir()
    (folder / "md_store.json").write_text('{"key": "AAAA"}')
    other = acme_httpd.folder / "other.conf"
    other.write_text(f"ServerName a\nMDomain {SHOP}\n")
    done = acmectl(acme_httpd, "migrate", "md", "--config", other, "--from", folder)
    assert done.returncode == 1 and "ACME1710: " in done.stderr
