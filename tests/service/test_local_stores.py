"""The local stores as a newcomer and an operator meet them: real processes, real signals, real ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import neo4j
import orjson
import pytest
import redis.asyncio

from service.errors import LocalStoreError, StartRefused
from service.local import Stores, local_stores
from service.local.jars import Jar, complete, mark_path, wanted
from service.local.orphans import ChildRecord, birth_of
from service.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
END_S = 30.0


class Run:
    """A `python -m service stores` in a process group of its own."""

    def __init__(self, data_dir: Path, **env: str) -> None:
        self.data_dir = data_dir
        self.output = data_dir.with_suffix(".out")
        plain = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", "stores"],
                cwd=ROOT,
                env={**plain, "DATA_DIR": str(data_dir), **env},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def ready(self, wait_s: float = 120.0) -> dict[str, object]:
        """What run.json says, once it is there."""
        until = time.monotonic() + wait_s
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                found = dict(json.loads((self.data_dir / "run.json").read_text()))
                if found["pid"] == self.process.pid:  # not of the run before, which was killed
                    return found
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.output.read_text()}")

    def children(self) -> dict[str, tuple[int, str]]:
        """Its children by name: process id and birth."""
        found = json.loads((self.data_dir / "children.json").read_text())
        return {name: (pid, born) for name, (pid, born) in found.items()}

    def end(self, number: int) -> int:
        """Signals the whole group, and waits; returns the exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        return self.process.wait(END_S)


def gone(children: dict[str, tuple[int, str]], wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while any(birth_of(pid) == born for pid, born in children.values()):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@contextlib.contextmanager
def running(data_dir: Path, **env: str) -> Iterator[Run]:
    run = Run(data_dir, **env)
    try:
        yield run
    finally:
        run.end(signal.SIGKILL)


async def ask(neo4j_at: dict[str, str] | Stores, query: str, **parameters: object) -> list[object]:
    """The first column of a query's rows."""
    if isinstance(neo4j_at, Stores):
        uri, auth = neo4j_at.neo4j_uri, (neo4j_at.neo4j_user, neo4j_at.neo4j_password)
    else:
        uri, auth = neo4j_at["uri"], (neo4j_at["user"], neo4j_at["password"])
    async with neo4j.AsyncGraphDatabase.driver(uri, auth=auth) as driver:
        rows, _, _ = await driver.execute_query(query, parameters)
        return [row[0] for row in rows]


@contextlib.asynccontextmanager
async def cache(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(url)
    try:
        yield client
    finally:
        await client.aclose()


def silent(_line: str) -> None:
    pass


# ---- a run as a whole


async def test_killed_in_the_middle_it_leaves_nobody_and_the_next_start_serves(stores: Stores, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with running(data_dir) as run:
        found = run.ready()
        assert await ask(found["neo4j"], "CREATE (n:LocalStoresTest {at: 'first'}) RETURN n.at") == ["first"]  # type: ignore[arg-type]
        assert await ask(stores, "MATCH (n:LocalStoresTest) RETURN n.at") == []  # another data folder, another graph
        async with cache(str(found["redis_url"])) as client:
            await client.set("kept", "no")
        children = run.children()
        assert sorted(children) == ["Neo4j", "Redis"]
        os.kill(run.process.pid, signal.SIGKILL)  # the service alone: nobody else is told
        assert gone(children, 5)

    with running(data_dir) as run:
        again = run.ready()
        assert await ask(again["neo4j"], "MATCH (n:LocalStoresTest) RETURN n.at") == ["first"]  # type: ignore[arg-type]
        async with cache(str(again["redis_url"])) as client:
            assert await client.get("kept") is None
        children, began = run.children(), time.monotonic()
        assert run.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < END_S
        assert gone(children, 0.5)
        said = run.output.read_text()
    assert "Traceback" not in said
    assert not (data_dir / "run.json").exists()
    secrets = (again["identity_key"], again["neo4j"]["password"], str(again["redis_url"]).split("@")[0])  # type: ignore[index]
    assert not any(str(secret) in said for secret in secrets)


def test_ctrl_c_while_it_starts_is_a_quiet_end(tmp_path: Path) -> None:
    with running(tmp_path / "data") as run:
        until = time.monotonic() + 30
        while "starting Neo4j" not in run.output.read_text() and time.monotonic() < until:
            time.sleep(0.05)
        assert run.end(signal.SIGINT) == 0
        assert run.output.read_text() == "starting Neo4j\n"


def test_a_bad_setting_is_one_line_and_status_2(tmp_path: Path) -> None:
    with running(tmp_path / "data", NEO4J_HEAP_MB="plenty") as run:
        assert run.process.wait(END_S) == 2
        assert run.output.read_text() == "NEO4J_HEAP_MB must be a valid integer\n"


def test_the_network_gone_is_one_line_without_addresses(tmp_path: Path) -> None:
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    with running(tmp_path / "data", CACHE_DIR=str(tmp_path / "cache"), **nowhere) as run:
        assert run.process.wait(END_S * 2) == 1
        *_, last = run.output.read_text().splitlines()
    assert last.startswith("Neo4j 5.26.30 could not be fetched: ")
    assert "check the network" in last
    assert "://" not in last


# ---- the pair of this test run


async def test_both_answer_and_ask_for_a_password(stores: Stores, settings: Settings) -> None:
    assert await ask(stores, "RETURN 1") == [1]
    host = stores.redis_url.partition("@")[2]
    async with cache(f"redis://{host}") as client:
        with pytest.raises(redis.exceptions.AuthenticationError):
            await client.ping()
    with pytest.raises(neo4j.exceptions.AuthError):
        await ask({"uri": stores.neo4j_uri, "user": "neo4j", "password": "neo4j"}, "RETURN 1")


async def test_limits_are_those_of_the_settings(stores: Stores, settings: Settings) -> None:
    wanted = {
        "db.transaction.timeout": "10s",
        "db.lock.acquisition.timeout": "5s",
        "db.logs.query.enabled": "OFF",
        "server.http.enabled": "false",
        "dbms.security.auth_enabled": "true",
        "server.memory.pagecache.size": "256.00MiB",
    }
    rows = await ask(
        stores, "SHOW SETTINGS YIELD name, value WHERE name IN $names RETURN [name, value]", names=[*wanted]
    )
    assert {row[0]: row[1] for row in rows} == wanted  # type: ignore[index]
    async with cache(stores.redis_url) as client:
        found = await client.config_get("*")
    assert (found["save"], found["appendonly"]) == ("", "no")
    assert int(found["maxmemory"] or 0) == settings.redis_memory_mb << 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_password_is_in_the_list_of_processes(stores: Stores, settings: Settings) -> None:
    secrets = (stores.neo4j_password, stores.redis_url.split(":")[2].split("@")[0])
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert not any(secret.encode() in line.read_bytes() for secret in secrets)


def test_the_data_folder_is_closed_to_others(stores: Stores, settings: Settings) -> None:
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700
    for name in ("children.json", "redis/redis.conf", "redis/password", "neo4j/password", "neo4j/java.args"):
        assert stat.S_IMODE((settings.data_dir / name).stat().st_mode) == 0o600


def test_passwords_stay_out_of_the_repr(stores: Stores) -> None:
    assert stores.neo4j_password not in repr(stores)
    assert stores.redis_url not in repr(stores)


async def test_a_second_service_on_the_same_folder_is_refused(stores: Stores, settings: Settings) -> None:
    with pytest.raises(StartRefused, match=f"another service \\(process {os.getpid()}\\) is running on"):
        async with local_stores(settings, silent):
            pass
    assert await ask(stores, "RETURN 1") == [1]


async def test_stores_that_die_come_back_where_they_were(tmp_path: Path) -> None:
    said: list[str] = []
    own = load_settings({"data_dir": tmp_path / "data", "neo4j_heap_mb": 256})
    async with local_stores(own, said.append) as found:
        await ask(found, "CREATE (:Kept)")
        pids = {name: pid for name, (pid, _) in orjson.loads((own.data_dir / "children.json").read_bytes()).items()}
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        for name in ("Redis", "Neo4j"):
            async with asyncio.timeout(90):
                while f"the local {name} answers again" not in said:  # noqa: ASYNC110  (a list can't be awaited)
                    await asyncio.sleep(0.1)
        assert await ask(found, "MATCH (n:Kept) RETURN count(n)") == [1]
        async with cache(found.redis_url) as client:
            assert await client.ping()
    assert f"the local Redis ended with status {-signal.SIGKILL}; starting it again" in said
    assert not (own.data_dir / "children.json").exists()


# ---- stores of one's own


@pytest.fixture
def elsewhere(stores: Stores, tmp_path: Path) -> dict[str, object]:
    """Settings that point at the pair of this test run."""
    return {
        "data_dir": tmp_path / "data",
        "identity_key": "0123456789abcdef",
        "neo4j_uri": stores.neo4j_uri,
        "neo4j_user": stores.neo4j_user,
        "neo4j_password": stores.neo4j_password,
        "redis_url": stores.redis_url,
        "store_wait_ms": 300,
    }


async def test_given_stores_are_used_and_nothing_is_started(
    stores: Stores, elsewhere: dict[str, object], tmp_path: Path
) -> None:
    async with local_stores(load_settings(elsewhere), silent) as found:
        assert (found.neo4j_uri, found.redis_url) == (stores.neo4j_uri, stores.redis_url)
        assert [path.name for path in (tmp_path / "data").iterdir()] == ["service.lock"]
    assert await ask(stores, "RETURN 1") == [1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"neo4j_uri": "bolt://127.0.0.1:1"}, "no Neo4j answers at bolt://127.0.0.1:1 (NEO4J_URI): ServiceUnavailable"),
        (
            {"neo4j_uri": "neo4j://127.0.0.1:1"},
            "no Neo4j answers at neo4j://127.0.0.1:1 (NEO4J_URI): ServiceUnavailable",
        ),
        ({"neo4j_uri": "http://me:hunter2@there"}, "http://there is not an address of a Neo4j (NEO4J_URI)"),
        ({"neo4j_uri": "nonsense hunter2"}, "is not an address of a Neo4j (NEO4J_URI)"),
        ({"neo4j_password": "hunter2"}, "refuses NEO4J_USER or NEO4J_PASSWORD"),
        ({"neo4j_database": "hunter2"}, "has no database of the name in NEO4J_DATABASE"),
        ({"redis_url": "redis://me:hunter2@127.0.0.1:1"}, "no Redis answers at redis://127.0.0.1:1 (REDIS_URL)"),
        ({"redis_url": "http://me:hunter2@there"}, "http://there is not an address of a Redis (REDIS_URL)"),
        ({"redis_url": "redis://me:hunter2@{redis}"}, "refuses the user or password in REDIS_URL"),
        ({"redis_url": "redis://{redis}"}, "refuses the user or password in REDIS_URL"),
    ],
)
async def test_wrong_ones_are_one_line_without_secrets(
    stores: Stores, elsewhere: dict[str, object], wrong: dict[str, str], says: str
) -> None:
    filled = {name: value.format(redis=stores.redis_url.partition("@")[2]) for name, value in wrong.items()}
    with pytest.raises(LocalStoreError) as caught:
        async with local_stores(load_settings({**elsewhere, **filled}), silent):
            pass
    assert says in caught.value.detail
    assert "\n" not in caught.value.detail
    assert "hunter2" not in caught.value.detail


# ---- what an earlier run left behind


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"])


async def test_leftovers_are_ended_and_others_left_alone(tmp_path: Path) -> None:
    left, other = sleeper(), sleeper()
    try:
        born = birth_of(left.pid)
        assert born is not None
        found = {"Redis": (left.pid, born), "Neo4j": (other.pid, "another boot/1")}
        (tmp_path / "children.json").write_bytes(orjson.dumps(found))
        assert await ChildRecord(tmp_path).end_leftovers() == ["Redis"]
        assert left.wait(1) == -signal.SIGTERM
        assert other.poll() is None
        assert await ChildRecord(tmp_path).end_leftovers() == []
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b'{"Neo4j": 7}', b'{"Neo4j": ["x", "y"]}'])
async def test_an_unreadable_record_is_no_record(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "children.json").write_bytes(content)
    assert await ChildRecord(tmp_path).end_leftovers() == []


# ---- the jars


def test_the_list_of_jars_is_pinned() -> None:
    jars = wanted()
    assert (jars[0].group, jars[0].artifact, jars[0].version) == ("org.neo4j", "neo4j", "5.26.30")
    assert len({jar.path(Path()) for jar in jars}) == len(jars)
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in jars)


def test_a_cache_is_complete_with_its_mark_and_all_files(tmp_path: Path) -> None:
    jar = Jar.parse("a.b:c:1:linux 3 sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    path = jar.path(tmp_path)
    assert path == tmp_path / "maven/a/b/c/1/c-1-linux.jar"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"abx")
    assert jar.there(tmp_path)
    assert not jar.sound(tmp_path)
    path.write_bytes(b"abc")
    assert jar.sound(tmp_path)
    assert not complete(tmp_path, [jar])
    mark_path(tmp_path).write_text("of an older list")
    assert not complete(tmp_path, [jar])
