"""A served process: TLS and mutual TLS by its settings, no secret where others read, an end that loses nothing."""

from __future__ import annotations

import datetime
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import httpx
import neo4j
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.local import Stores
from service.local.secrets import identity_key
from service.settings import Settings, SettingsRefused, load_settings
from tests.service.instances import KEYS, fresh, link

TOP = Path(__file__).parents[2]
READY_S = 180
WRITERS = 6


@dataclass(frozen=True, slots=True)
class Papers:
    """An authority of the test, and a certificate of it for the server and one for a client."""

    folder: Path

    def path(self, name: str) -> Path:
        """One of ca.pem, server.pem, server.key, client.pem, client.key."""
        return self.folder / name


def papers_in(folder: Path) -> Papers:
    """Make them."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
    now = datetime.datetime.now(datetime.UTC)

    def issued(name: x509.Name, public: ec.EllipticCurvePublicKey, *, is_ca: bool) -> x509.Certificate:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(authority).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        made = made.not_valid_after(now + datetime.timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        return made.add_extension(names, critical=False).sign(key, hashes.SHA256())

    (folder / "ca.pem").write_bytes(
        issued(authority, key.public_key(), is_ca=True).public_bytes(serialization.Encoding.PEM)
    )
    for who in ("server", "client"):
        own = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)])
        certificate = issued(name, own.public_key(), is_ca=False)
        (folder / f"{who}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        encoded = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        (folder / f"{who}.key").write_bytes(encoded)
    return Papers(folder)


@dataclass(slots=True)
class Served:
    """The process, its folder and what it was given."""

    process: subprocess.Popen[bytes]
    folder: Path
    papers: Papers
    secrets: list[str]

    @property
    def base_url(self) -> str:
        """As it says itself."""
        return str(json.loads((self.folder / "run.json").read_text())["base_url"])

    def client(self, *, certificate: bool = True) -> httpx.Client:
        """A caller that trusts the authority, with a certificate of its own or without."""
        context = ssl.create_default_context(cafile=str(self.papers.path("ca.pem")))
        if certificate:
            context.load_cert_chain(self.papers.path("client.pem"), self.papers.path("client.key"))
        headers = {"authorization": "Bearer key-of-admin"}
        return httpx.Client(base_url=self.base_url, verify=context, timeout=60, headers=headers)


@pytest.fixture(scope="module")
def served(settings: Settings, stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`python -m service run` with mutual TLS on the stores of all tests."""
    folder = tmp_path_factory.mktemp("manners")
    papers = papers_in(folder)
    home, key = folder / "data", identity_key(settings)
    mine = ("NEO4J_", "REDIS_", "IDENTITY_KEY", "API_KEYS", "WEBHOOK", "DATA_DIR", "PORT", "SAMPLE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    env |= {"DATA_DIR": str(home), "PORT": "0", "SAMPLE": "0", "API_KEYS": json.dumps(KEYS), "IDENTITY_KEY": key}
    env |= {"NEO4J_URI": stores.neo4j_uri, "NEO4J_PASSWORD": stores.neo4j_password, "REDIS_URL": stores.redis_url}
    env |= {"TLS_CERT_FILE": str(papers.path("server.pem")), "TLS_KEY_FILE": str(papers.path("server.key"))}
    env |= {"TLS_CLIENT_CA_FILE": str(papers.path("ca.pem")), "LOG_LEVEL": "DEBUG", "STORE_WAIT_MS": "60000"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "service", "run"], cwd=TOP, env=env, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + READY_S
        while not (home / "run.json").exists():
            assert process.poll() is None and time.monotonic() < ends, (folder / "log").read_text()[-2_000:]
            time.sleep(0.1)
        yield Served(process, home, papers, [*KEYS, key, stores.neo4j_password, stores.redis_url])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_only_who_shows_a_certificate_of_the_authority_is_served(served: Served) -> None:
    assert served.base_url.startswith("https://")
    with served.client() as http:
        assert http.get("/readyz").status_code == 200
        assert http.post("/v1/links", json=link(fresh(), fresh("device_id"))).status_code == 200
    with served.client(certificate=False) as http, pytest.raises(httpx.HTTPError):
        http.get("/healthz")
    with pytest.raises(httpx.HTTPError):
        httpx.get(served.base_url.replace("https:", "http:") + "/healthz")
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.base_url + "/healthz")  # an authority that nobody trusts


def test_no_secret_is_where_others_can_read_it(served: Served) -> None:
    listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    with served.client() as http:
        assert http.get("/v1/profiles", headers={"authorization": "Bearer not-a-key-of-mine"}).status_code == 401
    log = (served.folder.parent / "log").read_text()
    for secret in [*served.secrets, "not-a-key-of-mine"]:
        assert secret not in listed and secret not in log
    kept = [served.folder, *served.folder.rglob("*")]
    open_to_others = [path for path in kept if path.stat().st_mode & 0o077 and path.is_dir()]
    assert served.folder.stat().st_mode & 0o077 == 0 and (served.folder / "run.json").stat().st_mode & 0o077 == 0
    assert not [path for path in open_to_others if path.parent == served.folder], "within a folder that is closed"


def test_told_to_end_it_answers_what_it_has_and_loses_nothing(served: Served, stores: Stores) -> None:
    """The last test of this process."""
    acknowledged: list[str] = []

    def send() -> int:
        answers = 0
        with served.client() as http:
            while True:
                a = fresh()
                try:
                    reply = http.post("/v1/links", json=link(a, fresh("device_id")))
                except httpx.HTTPError:
                    return answers
                assert reply.status_code in (200, 503), reply.text
                answers += 1
                if reply.status_code == 200:
                    acknowledged.append(reply.json()["results"][0]["link_id"])

    with ThreadPoolExecutor(WRITERS) as pool:
        sending = [pool.submit(send) for _ in range(WRITERS)]
        while len(acknowledged) < 20:
            assert served.process.poll() is None
            time.sleep(0.02)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0
        assert sum(future.result() for future in sending) >= len(acknowledged)
    assert not (served.folder / "run.json").exists()
    auth = (stores.neo4j_user, stores.neo4j_password)
    with neo4j.GraphDatabase.driver(stores.neo4j_uri, auth=auth, telemetry_disabled=True) as driver:
        query = "MATCH ()-[r:LINK]->() WHERE r.id IN $ids RETURN count(DISTINCT r.id) AS found"
        [row] = driver.execute_query(query, {"ids": acknowledged}).records
    assert row["found"] == len(acknowledged)


def test_halves_of_tls_are_refused() -> None:
    for given in ({"tls_cert_file": "/c.pem"}, {"tls_key_file": "/k.pem"}, {"tls_client_ca_file": "/ca.pem"}):
        with pytest.raises(SettingsRefused):
            load_settings(given)
