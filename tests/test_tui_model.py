"""The list of messages against a naive model, while messages come and change and somebody plays with the keys."""

import random
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tui_fakes import FakeClock, FakeMonitor, row
from tui_stage import Stage, stage

from hooklab.metrics import Snapshot
from hooklab.store.base import Changed, Condition, Found, MessageRow
from hooklab.tui import rows as held
from hooklab.tui.screens import listing
from hooklab.tui.screens.listing import ListScreen
from hooklab.tui.sources import Messages

_FILTERS = ("", "state:pending", "is:stuck", "state:not_delivered", "desc:rare", "state:pending desc:rare")
_SLICE = 12
"""Messages that one step of a search looks at."""


def lets_through(where: Condition, one: MessageRow) -> bool:
    """What the filters above mean."""
    pending = one.state == "PENDING"
    tests: dict[str, Callable[[], bool]] = {
        "(rank < 0)": lambda: pending,
        "new_at <": lambda: "stuck" in one.flags,
        "rank & 1 = 0": lambda: one.state == "NOT_DELIVERED",
        "word_begins": lambda: one.description == "rare",
    }
    return all(holds() for part, holds in tests.items() if part in where.sql)


class Busy(FakeMonitor):
    """Messages come and change between and during its reads, as they do in a store."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(FakeClock(), [])
        self.chance = chance
        self.busy = True
        self.act: Callable[[], None] = lambda: None
        self.lets_through = lets_through
        self.last = 0
        for _ in range(60):
            self.arrive()

    def arrive(self, *, old: bool = False) -> None:
        """A new message, or news of one that was there."""
        self.last += 1
        state = self.chance.choice(("PENDING", "DELIVERED", "NOT_DELIVERED"))
        if old:
            one = self.chance.choice(self.rows)
            self.add(replace(one, state=state, flags=[], cursor=self.last))
        else:
            said = "rare" if self.chance.random() < 0.1 else "usual"
            self.add(row(self.last, state=state, description=said))

    def age(self) -> None:
        """Pending messages become stuck by time alone."""
        self.rows = [
            replace(one, flags=["stuck"]) if one.state == "PENDING" and self.chance.random() < 0.1 else one
            for one in self.rows
        ]

    def happen(self) -> None:
        """Perhaps something, perhaps much; and perhaps somebody does something while a read runs."""
        if not self.busy:
            return
        drawn = self.chance.random()
        if drawn < 0.005:
            for _ in range(150):
                self.arrive(old=self.chance.random() < 0.3)
        elif drawn < 0.25:
            for _ in range(self.chance.randrange(6)):
                self.arrive(old=self.chance.random() < 0.7)
        elif drawn < 0.35:
            self.age()
        elif drawn < 0.45:
            self.act()

    async def snapshot(self, *, signs: bool = False) -> Snapshot:
        self.happen()
        self.counters["stuck"] = sum("stuck" in one.flags for one in self.rows)
        return await super().snapshot(signs=signs)

    async def search(self, where: Condition, limit: int, before: int | None = None) -> Found:
        self.happen()
        below = sorted((one.cursor for one in self.rows if before is None or one.cursor < before), reverse=True)
        found = await super().search(where, limit, before)
        if not where.narrow and len(below) > _SLICE:
            floor = below[_SLICE - 1]
            rows = [one for one in found.rows if one.cursor >= floor]
            found = Found(rows=rows, reached=rows[-1].cursor if len(rows) == limit else floor, newest=found.newest)
        self.happen()
        return found

    async def newer(self, where: Condition, limit: int, after: int) -> Found:
        self.happen()
        above = sorted(one.cursor for one in self.rows if one.cursor > after)
        found = await super().newer(where, limit, after)
        if not where.narrow and len(above) > _SLICE:
            ceiling = above[_SLICE - 1]
            rows = [one for one in found.rows if one.cursor <= ceiling]
            found = Found(rows=rows, reached=rows[0].cursor if len(rows) == limit else ceiling, newest=found.newest)
        self.happen()
        return found

    async def batch_at(self, when: int) -> int:
        """A batch has four messages here."""
        self.happen()
        return when >> 2

    async def changed(self, where: Condition, after: int, limit: int) -> list[Changed]:
        self.happen()
        found = await super().changed(where, after, limit)
        self.happen()
        return found


class Play:
    """Somebody at the keys, and what must hold."""

    def __init__(self, on: Stage, monitor: Busy, chance: random.Random) -> None:
        self.on, self.monitor, self.chance = on, monitor, chance
        screen = on.app.screen_stack[1]
        assert isinstance(screen, ListScreen)
        self.screen = screen

    def act(self) -> None:
        """Something that a key does."""
        drawn = self.chance.random()
        if drawn < 0.25:
            self.screen.filter_by(self.chance.choice(_FILTERS))  # type: ignore[attr-defined]
        elif drawn < 0.35:
            self.screen.action_pause()
        elif drawn < 0.45:
            self.screen.go_back(self.chance.randrange(self.monitor.last + 20))
        elif drawn < 0.5:
            self.screen.list.action_newest()
        else:
            by = self.chance.choice((1, -1, 6, -6, 40, -1_000_000, 1_000_000))
            self.screen.list.action_move(by)

    async def settle(self) -> None:
        """Nothing happens any more; ticks until no read is wanted."""
        self.monitor.busy = False
        for _ in range(60):
            before = len(self.monitor.asked)
            await self.on.tick()
            if len(self.monitor.asked) == before + 1:
                break
        self.monitor.busy = True

    def check(self) -> None:
        """Every row that matches stands where it should, once and as it is, as far down as was looked."""
        rows = self.screen.list.rows
        cursors = [one.cursor for one in rows.items]
        assert cursors == sorted(cursors, reverse=True)
        assert len({one.message_id for one in rows.items}) == len(rows)
        assert self.screen.list.selected < max(len(rows), 1)
        if self.screen.paused is not None:
            return
        assert rows.newest or not self.screen.list.following
        where = self.screen.source.where  # type: ignore[attr-defined]
        all_rows = sorted(self.monitor.rows, key=lambda one: -one.cursor)
        low, high = rows.reached or 0, rows.above or self.monitor.last
        want = [one for one in all_rows if lets_through(where, one) and low <= one.cursor <= high]
        assert [(one.cursor, one.state) for one in rows.items] == [(one.cursor, one.state) for one in want]
        if self.screen.list.following:
            assert self.screen.list.selected == 0


@pytest.mark.parametrize("seed", range(8))
async def test_no_row_is_lost_doubled_or_stale(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Paging, filters, pause and moves to and fro while messages come, change and become stuck, also during reads:
    once it is quiet the list is what a search through everything finds.
    """
    for module, name, value in (
        (listing, "PAGE", 5),
        (listing, "CATCH_UP", 60),
        (listing, "_BREATH", 0),
        (held, "MOST", 90),
        (held, "FOLLOWING_MOST", 25),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(Messages, "edge", lambda _, batch: batch << 2 | 3)
    chance = random.Random(seed)
    monitor = Busy(chance)
    monitor.busy = False
    async with stage(monitor, (80, 14)) as on:
        play = Play(on, monitor, chance)
        monitor.act, monitor.busy = play.act, True
        for _ in range(25):
            for _ in range(chance.randrange(4)):
                play.act()
                await on.pilot.pause()
            await on.tick()
            if chance.random() < 0.4:
                await play.settle()
                play.check()
