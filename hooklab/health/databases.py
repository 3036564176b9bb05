"""What the two files hold, and what is wrong with them. Pure."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from hooklab.findings import took
from hooklab.health.base import MIB, Finding, listed, many, ok, problem, size_of, warning
from hooklab.health.reading import Checked
from hooklab.insights import Lag
from hooklab.times import iso

_LARGE_WAL: Final = 128 * MIB
_SALVAGE: Final = "stop hooklab, save what can be read with `hooklab salvage`, and start it again"
_REBUILD: Final = "start hooklab: it rebuilds it from the journal"
_RESTART: Final = "stop hooklab and start it again: it rebuilds it from the journal"
_MEND: Final = "mend it from the journal with `hooklab rebuild`, while no hooklab runs"
_NAMED: Final = 5


class Journaled(Struct, frozen=True, kw_only=True):
    """The journal as it was found."""

    state: str = "open"
    """Or as `Unreadable` has it, and `why`."""
    why: str = ""
    size: int = 0
    wal: int = 0
    bereft: bool = False
    """Its write-ahead log was taken away: SQLite never leaves a -shm without the -wal."""
    first: int = 1
    last: int = 0
    oldest: int | None = None
    newest: int | None = None
    """When the first and the last batch were received, microseconds UTC."""
    checked: Checked | None = None


class Stored(Struct, frozen=True, kw_only=True):
    """The store as it was found."""

    state: str = "open"
    why: str = ""
    size: int = 0
    wal: int = 0
    checkpoint: int = 0
    """The last batch that was projected."""
    recent: int = 0
    """Batches of the last day."""
    covered: int = 0
    """Microseconds of that day since the first batch of all."""
    lag: Lag | None = None
    """From reported to received, of the last day."""
    checked: Checked | None = None


class Bodies(Struct, frozen=True, kw_only=True):
    """Whether the bodies in the journal are those that were received."""

    batches: int = 0
    wrong: list[int] = []
    """Batches whose body is not what its digest says."""
    last: int = 0
    """The last batch that was read."""
    done: int = 0
    whole: int = 0
    """How many numbers of batches were passed, and how many there are; some may lack a batch."""
    why: str | None = None
    """Why not all could be read."""


class Sample(Struct, frozen=True):
    """How far both files were at a moment."""

    at: int
    """Microseconds."""
    last: int
    checkpoint: int


def judge_journal(found: Journaled, *, store: Stored, running: bool) -> Iterator[Finding]:
    """`journal`."""
    if found.state != "open":
        yield _unread_journal(found, store=store, running=running)
        return
    if found.bereft:
        yield problem(
            "journal",
            f"{_held(found)}, but journal.db-wal is not there, though hooklab did not end well: the newest batches"
            " were in it",
            "put journal.db-wal back before hooklab is started, if there is a copy; hooklab starts without them too",
        )
        return
    yield _judge_open("journal", _held(found), found, _SALVAGE)


def _judge_open(name: str, says: str, found: Journaled | Stored, mend: str) -> Finding:
    """A file that could be read: what SQLite's check found, and how large its WAL is."""
    checked, sizes = found.checked, size_of(found.size)
    if found.wal:
        sizes += f" and {size_of(found.wal)} of write-ahead log"
    if checked is not None and checked.faults:
        more = f", and {many(len(checked.faults) - 1, 'more fault')}" if len(checked.faults) > 1 else ""
        return problem(name, f"{name}.db is damaged: {checked.faults[0]}{more}", mend)
    if found.wal > _LARGE_WAL:
        return warning(
            name,
            f"{says}, {sizes}, which is more than {size_of(_LARGE_WAL)}",
            "close what reads it for long (attach, a copy, a sqlite3 shell); a restart of hooklab empties it",
        )
    if checked is not None and checked.stopped is not None:
        return warning(
            name,
            f"{says}, {sizes}; SQLite's check of it was {checked.stopped}",
            "hooklab doctor --full takes the time, best while little comes",
        )
    quick = "" if checked is None else f"; SQLite finds no fault, in {took(max(checked.seconds, 0.001))}"
    return ok(name, f"{says}, {sizes}{quick}")


def _held(found: Journaled) -> str:
    if found.last < found.first:
        return "no batch yet" if not found.last else f"no batch any more; the last was {found.last:,}"
    count = found.last - found.first + 1
    numbers = f"batch {found.first:,}" if count == 1 else f"batches {found.first:,} to {found.last:,}"
    times = [_minute(found.oldest), _minute(found.newest)]
    return f"{numbers}, received {times[0] if times[0] == times[1] else ' to '.join(times)} UTC"


def _minute(micros: int | None) -> str:
    return (iso(micros) or "-")[:16].replace("T", " ")


def _unread_journal(found: Journaled, *, store: Stored, running: bool) -> Finding:
    if found.state == "missing" and running:
        return problem(
            "journal",
            "journal.db is gone while hooklab runs: what comes is written to a file without a name",
            "do not stop hooklab before you have copied it, with its -wal, out of /proc/PID/fd",
        )
    if found.state in {"missing", "empty"}:
        what = "is not there" if found.state == "missing" else "is empty"
        if store.state == "missing":
            return problem(
                "journal",
                f"journal.db {what}: there is no hooklab data here",
                "start hooklab on this folder, or name another with --data-dir",
            )
        return problem(
            "journal",
            f"journal.db {what}, but store.db is there: the batches are lost unless there is a copy",
            "put journal.db back from a backup before hooklab is started again",
        )
    return _unread("journal", found.state, found.why, _SALVAGE)


def judge_store(found: Stored, *, journal: Journaled, running: bool) -> Iterator[Finding]:
    """`store`; nothing where there is no data at all."""
    mend = _RESTART if running else _REBUILD
    if found.state != "open":
        if found.state in {"missing", "empty"}:
            if journal.state == "open":
                yield warning("store", f"store.db is {'not there' if found.state == 'missing' else 'empty'}", mend)
        elif found.state == "older":
            yield warning("store", f"store.db is of an older hooklab ({found.why})", mend)
        else:
            yield _unread("store", found.state, found.why, mend)
        return
    says = f"projected up to batch {found.checkpoint:,}" if found.checkpoint else "nothing is projected yet"
    if journal.state == "open" and found.checkpoint > journal.last:
        yield problem(
            "store",
            f"{says}, but the journal ends at {journal.last:,}: an older or emptied journal was put in its place",
            f"put the right journal.db back if there is one; else {mend}, and what only the store knew is put aside",
        )
    else:
        yield _judge_open("store", says, found, _MEND)  # a start may never meet the page


def _unread(name: str, state: str, why: str, mend: str) -> Finding:
    file = f"{name}.db"
    match state:
        case "closed":
            return problem(name, f"{file} cannot be read: {why}", "run this as the folder's owner, or mend its mode")
        case "strange":
            return problem(name, f"{file} is no file", "move it away; hooklab makes its own")
        case "another":
            return problem(name, f"{file} is another program's", "move it away, or name another --data-dir")
        case "newer" | "older":
            return problem(name, f"{file} is of a {state} hooklab ({why})", f"use the {state} hooklab")
        case "unseen":
            return warning(
                name,
                f"{file} was not read: {why}",
                "copy the -shm too, or start hooklab on it; to read it here would leave files behind",
            )
        case "held":
            return problem(
                name, f"{file} is held by another program: {why}", "stop what holds it (fuser -v names it)"
            )
        case _:
            return problem(name, f"{file} is damaged: {why}", mend)


def judge_bodies(found: Bodies) -> Finding:
    """`bodies`: what `--full` reads."""
    disk = (
        "look at the disk (smartctl -a), and put journal.db back from a backup; what was counted before is right,"
        " what was not goes to quarantine"
    )
    if found.why is not None:
        return problem("bodies", f"journal.db cannot be read {found.why}", _SALVAGE)
    if found.wrong:
        names = listed((f"{one:,}" for one in found.wrong), _NAMED)
        which = f"{many(len(found.wrong), 'body is', 'bodies are')} not what was received: batch {names}"
        return problem("bodies", which, disk)
    lacking = found.done - found.batches
    gaps = f"; {many(lacking, 'number')} between them lack a batch, as after a salvage" if lacking else ""
    return ok("bodies", f"{many(found.batches, 'batch', 'batches')}, every body as it was received{gaps}")


def judge_lag(samples: list[Sample], *, running: bool) -> Finding | None:
    """`lag`: whether what is in the journal gets counted; None where there is nothing to tell.

    Args:
        samples: of a few moments, in order; one is enough where nothing lags or nothing runs.
        running: whether a service does.
    """
    if not samples:
        return None
    first, now = samples[0], samples[-1]
    lag = max(now.last - now.checkpoint, 0)
    says = f"{many(lag, 'batch', 'batches')} not counted yet"
    if not lag:
        return ok("lag", "every batch is counted")
    if not running:
        return ok("lag", f"{says}; hooklab does it when it is started")
    seconds = (now.at - first.at) / 1e6
    counted = now.checkpoint - first.checkpoint
    if not counted:
        return problem(
            "lag",
            f"{says}, and none was counted within {took(seconds)}: the projector stands still",
            "look into hooklab's log; stop it and start it again",
        )
    fallen = first.last - first.checkpoint - lag
    if fallen <= 0:
        return warning(
            "lag",
            f"{says}, and it grows: more comes than can be counted",
            "nothing is lost; if it does not fall when less comes, use a faster machine",
        )
    return ok("lag", f"{says}; at this rate done in {took(lag * seconds / fallen)}")
