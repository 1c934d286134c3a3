"""From a Redis URL to an open, greeted connection."""

import asyncio
import ssl
from dataclasses import dataclass, field

import hiredis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)

from service.cache.lane import Lane, LaneLost, packed
from service.cache.leases import ServerMarks, load_commands
from service.cache.limits import CacheLimits

_RUN_ID_LENGTH = 16
_REPLICATION_ID_LENGTH = 8


class ConnectRefused(Exception):
    """The server was reached but can't be used as it is. The text holds no secret."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is and how to log in. Not shown in logs: it holds the password."""

    host: str
    port: int
    path: str
    db: int
    login: tuple[str, ...] = field(repr=False)
    tls: ssl.SSLContext | None = field(repr=False)


def parse_address(url: str) -> Address:
    """Reads a redis://, rediss:// or unix:// URL with the query options of redis-py. ValueError if it is none."""
    options = dict(parse_url(url))
    kind = options.pop("connection_class", Connection)
    try:
        described = kind(**options)  # type: ignore[operator]
    except TypeError:
        raise ValueError("unknown option in the Redis URL") from None
    assert isinstance(described, AbstractConnection)
    names = (described.username, described.password)
    return Address(
        host=described.host if isinstance(described, Connection) else "",
        port=described.port if isinstance(described, Connection) else 0,
        path=described.path if isinstance(described, UnixDomainSocketConnection) else "",
        db=int(described.db),
        login=tuple(name for name in names if name),
        tls=described.ssl_context.get() if isinstance(described, SSLConnection) else None,
    )


async def open_lane(address: Address, limits: CacheLimits) -> tuple[Lane, ServerMarks]:
    """Connects and greets within the connect timeout.

    Raises OSError or TimeoutError when the server isn't reached, ConnectRefused when it isn't usable: wrong login,
    still loading, or not a primary.
    """
    loop = asyncio.get_running_loop()
    lane = Lane(loop, limits.op_timeout_s, limits.late_loop_grace_s)
    try:
        async with asyncio.timeout(limits.connect_timeout_s):
            if address.path:
                await loop.create_unix_connection(lambda: lane, address.path)
            else:
                await loop.create_connection(lambda: lane, address.host, address.port, ssl=address.tls)
            marks = await _greet(lane, address, limits.connect_timeout_s)
    except LaneLost as lost:
        raise ConnectionError(lost.reason) from None
    except BaseException:
        lane.close("connect failed")
        raise
    return lane, marks


async def _greet(lane: Lane, address: Address, timeout_s: float) -> ServerMarks:
    """Logs in, selects the database, loads the scripts and reads which server this is, in one round trip."""
    commands = [packed("AUTH", *address.login)] if address.login else []
    if address.db:
        commands.append(packed("SELECT", address.db))
    commands += load_commands()
    commands.append(packed("PING"))
    commands.append(packed("INFO", "server"))
    commands.append(packed("INFO", "replication"))
    replies = await lane.ask(b"".join(commands), len(commands), timeout_s)
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            raise ConnectRefused(f"server refused the connection: {error_code(reply)}")
    server, replication = info_fields(replies[-2]), info_fields(replies[-1])
    if replication.get(b"role") != b"master":
        raise ConnectRefused("server is not a primary")
    if not server.get(b"run_id") or not replication.get(b"master_replid"):
        raise ConnectRefused("server does not tell its run id")
    return ServerMarks(
        server[b"run_id"][:_RUN_ID_LENGTH],
        replication[b"master_replid"][:_REPLICATION_ID_LENGTH].ljust(_REPLICATION_ID_LENGTH, b"0"),
    )


async def still_primary(lane: Lane, marks: ServerMarks) -> bool:
    """Whether the server behind `lane` answers and is the primary that it was. Raises LaneLost."""
    (reply,) = await lane.ask(packed("INFO", "replication"), 1)
    fields = info_fields(reply)
    return fields.get(b"role") == b"master" and fields.get(b"master_replid", b"").startswith(marks.replication_id)


def info_fields(reply: object) -> dict[bytes, bytes]:
    """The lines of an INFO reply as a dict; empty for any other reply."""
    if not isinstance(reply, bytes):
        return {}
    pairs = (line.partition(b":") for line in reply.splitlines())
    return {name: value for name, mark, value in pairs if mark}


def error_code(error: hiredis.ReplyError) -> str:
    """The code word of a server's error, without the rest, which may quote what was sent."""
    return str(error).partition(" ")[0][:32]
