"""`simulate`."""

import argparse
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Final

import msgspec

from hooklab.commands.common import CommandError, print_json, print_line
from hooklab.commands.send import hook_of
from hooklab.config import Settings
from hooklab.simulator.campaign import CHAOS, Campaign, Chances, Wishes, plan
from hooklab.simulator.progress import shown
from hooklab.simulator.sender import Figures, Pace, Sender, Target
from hooklab.simulator.truth import VERSION, CampaignLine, TruthWriter

_BEGIN: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""Where times are made up anyway: always the same, so that a seed gives the same bodies."""


def simulate(given: argparse.Namespace, settings: Settings) -> int:
    """Sends a campaign; 0 if everything was acknowledged in the end."""
    hook = hook_of(given.url, settings)
    if "?" in hook.target:
        raise CommandError("the URL has a query, which no hook URL has")
    wishes = _wishes(given)
    pace = Pace(**{name: getattr(given, name) for name in Pace.__struct_fields__})
    campaign = plan(wishes)
    figures = Figures()
    with ExitStack() as stack:
        truth = stack.enter_context(TruthWriter(given.truth)) if given.truth is not None else None
        if truth is not None:
            first = CampaignLine(VERSION, wishes.seed, wishes.begin.isoformat(), _options(given))
            truth.plan((first, *campaign.lines()))
        to = Target(hook.connect, hook.target.rstrip("/"), hook.headers)
        sender = Sender(campaign, to, truth or _Nobody(), pace)
        interrupted = False
        try:
            with _sigterm_as_ctrl_c(), shown(sys.stderr) as watch:
                sender.run(watch)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            figures = sender.figures()
            if truth is not None:
                truth.finish(finished=figures.acknowledged == figures.sendings)
    _print(given, wishes, campaign, figures)
    left = figures.sendings - figures.acknowledged
    if left:
        why = "interrupted" if interrupted else f"at {hook.place} {figures.last_trouble}"
        raise CommandError(f"{left:,} of {figures.sendings:,} sendings were not acknowledged: {why}")
    return 0


def _wishes(given: argparse.Namespace) -> Wishes:
    preset = CHAOS if given.chaos else Chances()
    chances = {name: getattr(given, name) for name in Chances.__struct_fields__}
    begin = given.begin or (_BEGIN if given.time_scale is None else datetime.now(UTC).replace(microsecond=0))
    return Wishes(
        seed=given.seed if given.seed is not None else str(secrets.randbelow(10**9)),
        messages=given.messages,
        begin=begin,
        organizations=given.organizations,
        batch=given.batch,
        labels=given.labels,
        chances=msgspec.structs.replace(
            preset, **{name: value for name, value in chances.items() if value is not None}
        ),
    )


def _options(given: argparse.Namespace) -> dict[str, object]:
    """What the campaign can be repeated with; nothing of where it went."""
    names = ("messages", "organizations", "batch", "labels", "chaos", *Chances.__struct_fields__)
    return {name: getattr(given, name) for name in names}


def _print(given: argparse.Namespace, wishes: Wishes, campaign: Campaign, figures: Figures) -> None:
    known = {"seed": wishes.seed, "messages": len(campaign.lives), "reports": campaign.reports}
    if given.json:
        print_json({**known, "bodies": len(campaign.bodies), **msgspec.structs.asdict(figures)})
        return
    print_line(
        f"seed {wishes.seed}: {len(campaign.lives):,} messages, {campaign.reports:,} reports,"
        f" {len(campaign.bodies):,} bodies in {figures.sendings:,} sendings"
    )
    print_line(
        f"{figures.posts:,} POSTs, {figures.acknowledged:,} acknowledged, {figures.retried:,} retried,"
        f" {figures.refused:,} refused, {figures.unanswered:,} unanswered, {figures.lost:,} answers lost on purpose"
    )


class _Nobody:
    """Keeps no truth."""

    def posted(self, body: int, *, lost: bool) -> None:
        pass

    def acknowledged(self, body: int) -> None:
        pass


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM ends as well as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
