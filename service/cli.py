"""The command line: `python -m service` run, stores, proof, migrate, migrate-status, backup, restore, import,
export, schema-check.

What goes wrong at the start ends in one line on stderr: status 2 for settings, 1 for the rest. SIGTERM and Ctrl-C
cancel the command, which then ends its stores; that is a clean end, with status 0. Whatever has not ended 25 s later is
ended hard: the stores die with this process, and lose nothing that was acknowledged.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final

import typer

from service.errors import StartError
from service.settings import MIGRATIONS_FOLDER, Settings, SettingsRefused, load_settings

Command = Callable[[Settings], Coroutine[Any, Any, int]]

# Turns make many short-lived objects at once: looking for cycles among them every 700 costs more than it finds.
GC_THRESHOLDS: Final = (50_000, 20, 20)
_SIGNALS_UNTIL_HARD_END: Final = 3
_END_S_MAX: Final = 25

app = typer.Typer(help="Identity Fabric.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def say(line: str) -> None:
    """One calm line for the person who started this, on stdout."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@app.command()
def run() -> None:
    """Starts the stores where none are set, applies migrations and serves until SIGTERM or Ctrl-C."""

    async def command(settings: Settings) -> int:
        from service.bootstrap import serve

        await serve(settings, say)
        return 0

    _carry_out(command)


@app.command("schema-check")
def schema_check(old: Path, new: Path, level: str | None = None) -> None:
    """Whether a new version of an event's schema changes no more than its number allows, or `--level` does."""
    from service.events.compatibility import Level
    from service.schema_check import NotASchemaFile, check_schemas

    try:
        allowed = None if level is None else Level[level.upper()]
        status = check_schemas(old, new, allowed, say)
    except KeyError:
        sys.stderr.write("--level is addition, revision or model\n")
        status = 2
    except NotASchemaFile as error:
        sys.stderr.write(f"{error}\n")
        status = 2
    raise typer.Exit(status)


@app.command()
def stores() -> None:
    """Only the local Neo4j and Redis, in the foreground; their addresses and passwords are in DATA_DIR/run.json."""

    async def command(settings: Settings) -> int:
        from service.local import local_stores
        from service.local.data_dir import remove_run_file, write_run_file
        from service.local.secrets import identity_key

        async with local_stores(settings, say) as found:
            path = write_run_file(
                settings.data_dir,
                base_url=None,
                neo4j_uri=found.neo4j_uri,
                neo4j_user=found.neo4j_user,
                neo4j_password=found.neo4j_password,
                redis_url=found.redis_url,
                identity_key=identity_key(settings),
            )
            say(f"both stores answer, as {path} says; Ctrl-C ends them")
            try:
                _complain(await found.wait_broken())
            finally:
                remove_run_file(settings.data_dir)
            return 1

    _carry_out(command)


@app.command("migrate-status")
def migrate_status() -> None:
    """Which migrations the graph has and which are pending; status 1 where they do not fit."""

    async def command(settings: Settings) -> int:
        from service.graph import migrations
        from service.local.one_graph import open_graph

        async with open_graph(settings, say) as (driver, database):
            found = await migrations.status(driver, database, MIGRATIONS_FOLDER)
        for entry in found:
            say(f"V{entry.version:04}  {entry.state!s:<10}  {entry.name}{f'  ({entry.why})' if entry.why else ''}")
        return 1 if any(entry.why for entry in found) else 0

    _carry_out(command)


@app.command()
def proof() -> None:
    """One page, in Markdown, about what the instance running on DATA_DIR can show of its promises."""

    async def command(settings: Settings) -> int:
        from service.assembly.proof_report import proof_page

        say(await asyncio.to_thread(proof_page, settings))
        return 0

    _carry_out(command)


@app.command()
def migrate() -> None:
    """Applies pending migrations, and ends."""

    async def command(settings: Settings) -> int:
        from service.graph import migrations
        from service.local.one_graph import open_graph

        async with open_graph(settings, say) as (driver, database):
            owner = f"command line, process {os.getpid()}"
            applied = await migrations.migrate(driver, database, MIGRATIONS_FOLDER, owner, say=say)
        say(f"applied {len(applied)}" if applied else "nothing to apply")
        return 0

    _carry_out(command)


@app.command("backup")
def back_up(to: Annotated[Path, typer.Argument(help="the archive to write, .tar.gz")]) -> None:
    """Writes the local graph and its secrets to an archive; the service must not be running."""

    async def command(settings: Settings) -> int:
        from service.local.backup import backup

        size = await asyncio.to_thread(backup, settings.data_dir, to)
        say(f"backed up {settings.data_dir} to {to} ({size / 1e6:.1f} MB); keep it as safe as the secrets in it")
        return 0

    _carry_out(command)


@app.command("new-key")
def new_key(
    roles: Annotated[list[str], typer.Argument(help="activation, collector, steward, privacy, admin")],
    name: Annotated[str, typer.Option(help="whose it is")] = "",
    days: Annotated[int, typer.Option(help="until it expires; 0: never")] = 90,
) -> None:
    """Makes a key: prints it once, and the entry for KEYS_FILE, which holds only its digest."""
    import hashlib

    import orjson

    from service.clock import now_ms, random_token
    from service.model.times import rfc3339
    from service.settings import ROLES

    if unknown := set(roles) - set(ROLES):
        _complain(f"no such role: {', '.join(sorted(unknown))}; roles are {', '.join(ROLES)}")
        raise typer.Exit(2)
    key = random_token(24)
    entry: dict[str, object] = {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "roles": roles}
    if days > 0:
        entry["expires_at"] = rfc3339(now_ms() + days * 86_400_000)
    say(f"key, shown only now: {key}")
    say(f"entry for KEYS_FILE: {orjson.dumps(entry).decode()}")


@app.command("accept-restore")
def accept_restore() -> None:
    """Says that an older graph was put back with Neo4j's own tools: the next start does not take it for a cut audit."""

    async def command(settings: Settings) -> int:
        from service.local.checkpoints import announce_restore

        announce_restore(settings.data_dir)
        say("the next start accepts a graph that is older than its checkpoints")
        return 0

    _carry_out(command)


@app.command("restore")
def put_back(archive: Annotated[Path, typer.Argument(help="an archive made by backup")]) -> None:
    """Puts a backup in the place of the local graph; refusals since then are applied again at the next start."""

    async def command(settings: Settings) -> int:
        from service.local.backup import restore

        former = await asyncio.to_thread(restore, settings.data_dir, archive)
        say(f"restored {archive} into {settings.data_dir}" + (f"; the former graph is in {former}" if former else ""))
        return 0

    _carry_out(command)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, NDJSON or Parquet, or the folder of an export")],
    columns: Annotated[Path | None, typer.Option("--map", help="JSON file that maps columns")] = None,
    kind: Annotated[str | None, typer.Option(help="links, consents, assertions or events")] = None,
    errors: Annotated[Path | None, typer.Option(help="where refused rows are written down")] = None,
) -> None:
    """Brings links or consents in from a file; goes on where an interrupted import of the same file ended."""

    async def command(settings: Settings) -> int:
        from service.bootstrap import import_file
        from service.volume.importing import Request

        await import_file(settings, Request(file, columns, kind, errors), say)
        return 0

    _carry_out(command)


@app.command("export")
def export_(folder: Annotated[Path, typer.Argument(help="a new or empty folder")]) -> None:
    """Writes profiles, identifiers, links, assertions and consents as Parquet files."""

    async def command(settings: Settings) -> int:
        from service.bootstrap import export_to

        await export_to(settings, folder, say)
        return 0

    _carry_out(command)


def main() -> None:
    """What `python -m service` runs."""
    app()


def _carry_out(command: Command) -> None:
    """Runs one command and ends the process with its status."""
    try:
        settings = load_settings()
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            status = runner.run(_until_told(command(settings)))
    except SettingsRefused as error:
        _complain(error.detail)
        status = 2
    except StartError as error:
        _complain(error.detail)
        status = 1
    except Exception as error:
        if not _is_migration_error(error):
            raise
        _complain(str(error))
        status = 1
    raise typer.Exit(status)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _is_migration_error(error: Exception) -> bool:
    from service.graph.migration_files import MigrationError

    return isinstance(error, MigrationError)


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


async def _until_told(work: Coroutine[Any, Any, int]) -> int:
    """Awaits `work`; the first SIGTERM or Ctrl-C cancels it, which counts as a clean end. The third ends at once."""
    loop, task, received = asyncio.get_running_loop(), asyncio.ensure_future(work), 0
    gc.set_threshold(*GC_THRESHOLDS)

    def told(_number: int, _frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        if received == 1:
            signal.alarm(_END_S_MAX)
            loop.call_soon_threadsafe(task.cancel)
        elif received >= _SIGNALS_UNTIL_HARD_END:
            os._exit(1)

    def too_late(_number: int, _frame: FrameType | None) -> None:
        _complain(f"not ended after {_END_S_MAX} s; ending hard")
        os._exit(1)

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, too_late)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 0
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
