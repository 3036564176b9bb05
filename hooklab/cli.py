"""The command line: names and options. What a command does is in `hooklab.commands`, imported when it runs."""

import argparse
import errno
import importlib
import io
import os
import re
import resource
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from hooklab import __version__
from hooklab.config import Settings, SettingsError, default_config, load
from hooklab.filters import HELP
from hooklab.layered.about import known
from hooklab.layered.written import default_in_words, has_no_default, nearest
from hooklab.options import add_export, add_simulate, add_verify, positive
from hooklab.text import MASK, clean, mask_secrets, mask_url

_WITHOUT_SETTINGS: Final = frozenset({"example"})
"""Functions of commands that help where the settings are wrong."""


_SEEN: Final = (
    "others on this machine can read --token in the process list; HOOKLAB_TOKEN or --token-file keep it out"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # Of an option that is not whole argparse repeats the value, which may be a token.
        said = mask_url(re.sub(r"(--tok[a-z-]*=)\S+", rf"\1{MASK}", message))
        raise SystemExit(_fail(f"{said} (see {self.prog} --help)", 2))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Each command answers for its own unknown options: it alone knows the nearest right one."""
        args = sys.argv[1:] if args is None else list(args)
        self._refuse_unknown(self._before_command(args))
        namespace, rest = super().parse_known_args(args, namespace)
        self._refuse_unknown(rest)
        return namespace, rest

    def _before_command(self, args: Sequence[str]) -> Iterator[str]:
        """The options before the first word: an unknown one's value would be taken for a command."""
        words = iter(args)
        for word in words:
            if not word.startswith("-") or word in {"-", "--"}:
                return
            yield word
            action = self._option_string_actions.get(word)
            if action is not None and action.nargs is None:
                next(words, None)

    def _refuse_unknown(self, words: Iterable[str]) -> None:
        options = list(self._option_string_actions)
        for word in words:
            name = word.partition("=")[0]
            if not name.startswith("--") or name == "--" or any(one.startswith(name) for one in options):
                continue
            near = nearest(name, options)
            self.error(f"there is no option {name}{'' if near is None else f'; the nearest is {near}'}")


def _fail(message: str, code: int = 1) -> int:
    print(f"hooklab: {clean(message)}", file=sys.stderr)  # noqa: T201  the one line of an error
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit code: 0, 1 for a failure, 2 for a wrong use."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 gets a ? and not a fault
    _dump_no_core()
    given = _build_parser().parse_args(arguments)
    environment = dict(os.environ)
    os.environ.pop("HOOKLAB_TOKEN", None)  # programs that are started from here have no use for it
    try:
        _hide_secrets(sys.argv[1:] if arguments is None else arguments)
        flags = {name: getattr(given, name, None) for name in Settings.__struct_fields__}
        # `config` tells of these, and a running service reads them again.
        given.load = partial(load, flags, environment, given.config or default_config())
        module, name = given.command
        settings = Settings() if name in _WITHOUT_SETTINGS else given.load().settings
        code: int = getattr(importlib.import_module(f"hooklab.commands.{module}"), name)(given, settings)
        sys.stdout.flush()
    except SettingsError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        # The reader of our output left (| head). Nothing more can be said there, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _explain(error)
    return code


def _hide_secrets(arguments: Sequence[str]) -> None:
    """Takes tokens out of this process's line in the process list, which everybody on the machine may read."""
    shown = mask_secrets(arguments)
    if list(arguments) != shown:
        import setproctitle

        setproctitle.setproctitle(shlex.join(["hooklab", *shown]))
        # The one file's process that waits for this one keeps its own command line.
        if getattr(sys, "frozen", False) and any(one.partition("=")[0] == "--token" for one in arguments):
            print(f"hooklab: {_SEEN}", file=sys.stderr)  # noqa: T201  a warning in one line


def _dump_no_core() -> None:
    """Has a crash leave no memory on disk: tokens and phone numbers are in it.

    1 byte and not 0: the kernel writes no file for either, but to a program that takes dumps (`|` in core_pattern) it
    gives everything for 0 and nothing for 1. A hard limit of 0 allows nothing else.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard != 0:
        resource.setrlimit(resource.RLIMIT_CORE, (1, hard))


def _open_closed_streams() -> None:
    """A standard stream that was closed (`>&-`) is opened on nothing, or the next file would take its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)
            stream = os.fdopen(number, mode, encoding="utf-8")
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _explain(error: Exception) -> int:
    from hooklab.commands.common import EXPECTED_ERRORS

    if isinstance(error, EXPECTED_ERRORS):
        return _fail(str(error))
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
        return _fail(f"the output cannot be written: {error.strerror}")
    if os.environ.get("HOOKLAB_TRACEBACK"):
        raise error
    # The text of an unforeseen error may hold anything, a phone number too.
    return _fail(
        f"a fault of hooklab itself: {type(error).__name__}; HOOKLAB_TRACEBACK=1 shows where, please report it"
    )


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hooklab",
        description="Receives Arpoone's SMS delivery webhooks and shows what became of every message.",
        epilog="Without a command, hooklab runs the receiver and its screen.",
    )
    parser.add_argument("--version", action="version", version=f"hooklab {__version__}")
    parser.set_defaults(command=("run", "run"), config=None)
    _add_common(parser)
    _add_serving(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)

    def add(name: str, does: str, module: str, function: str | None = None) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
        sub.set_defaults(command=(module, function or name))
        _add_common(sub)
        return sub

    _add_serving(add("run", "receiver and screen in one process; without a terminal the same as serve", "run"))
    _add_serving(add("serve", "receiver without a screen", "run"))

    add("attach", "the screen on a data folder whose service runs elsewhere, or does not run", "screen")

    send = add("send", "POST files to the hook URL as they are; one line an answer", "send")
    send.add_argument("files", nargs="+", metavar="FILE", type=Path)
    send.add_argument("--url", help="where to (default: the hook URL of this data folder)")

    simulate = add("simulate", "send made-up reports as the provider does, and keep the truth about them", "simulate")
    add_simulate(simulate)
    _add_json(simulate)
    verify = add(
        "verify", "compare the data folder with the truth that simulate kept; exit 1 if they differ", "verify"
    )
    add_verify(verify)
    _add_json(verify)

    _add_json(add("stats", "the counters", "show"))
    insights = add("insights", "answers: delivery rate, times, reasons, and how the provider sends", "insights")
    insights.add_argument("--since", metavar="TIME", help="30m, 7d or an ISO time, taken to the full hour before")
    insights.add_argument("--org", metavar="PREFIX", help="only organizations whose ids begin so")
    _add_json(insights)
    messages = add("messages", "messages, newest activity first", "show")
    messages.add_argument("words", nargs="*", metavar="FILTER", help=f"words that must all hold: {HELP}")
    _add_list(messages)
    add_export(add("export", "messages into a CSV or JSON Lines file, or to standard output", "export"))
    _add_show(add("show", "one message with its timeline", "show"))

    _add_list(add("batches", "requests as they came, newest first", "batches"))
    batch = add("batch", "one request: what became of it, its headers and its body", "batches")
    batch.add_argument("number", metavar="N", type=positive)
    batch.add_argument("--raw", action="store_true", help="write the body byte for byte, and nothing else")
    _add_json(batch)

    _add_quarantine(add("quarantine", "what could not be understood", "quarantine", "list_rows"))
    _add_token(add("token", "the secrets in the hook URL: make another, list, revoke", "token", "list_tokens"))

    rebuild = add("rebuild", "project the journal into a new store, which takes the old one's place", "rebuild")
    rebuild.add_argument("--yes", action="store_true", help="do not ask")
    _add_settings(rebuild, "assume_timezone", "stuck_after", "max_elements", "sent_at_key")
    saving = add(
        "salvage", "copy what can be read of a damaged journal into a new one, and put it aside", "salvage", "save"
    )
    saving.add_argument("--yes", action="store_true", help="do not ask")
    doctor = add(
        "doctor",
        "examine the folder and what runs on it, and say what to do; exit 1 if something is a problem",
        "doctor",
    )
    doctor.add_argument(
        "--full", action="store_true", help="read everything, also every body, for as long as it takes"
    )
    _add_json(doctor)
    _add_config(add("config", "the settings in force, where each comes from, and what it is for", "config"))
    _add_service(add)
    _add_snippet(add("snippet", "the smsWebhooks JSON to paste into the Arpoone request", "snippet"))
    return parser


def _add_snippet(snippet: argparse.ArgumentParser) -> None:
    snippet.add_argument(
        "--base-url", help="how the provider reaches this machine, such as https://hooks.example.com"
    )


def _add_service(add: Callable[..., argparse.ArgumentParser]) -> None:
    install = add(
        "install-service",
        "write a systemd unit and make its user; prints how to start it",
        "install_service",
        "install",
    )
    install.add_argument("--dry-run", action="store_true", help="print the unit, and do nothing")
    _add_settings(install, "bind", "public_url")
    add(
        "uninstall-service",
        "stop the service, remove the unit, and keep the data",
        "install_service",
        "uninstall",
    )


def _add_config(config: argparse.ArgumentParser) -> None:
    _add_json(config)
    config.add_argument(
        "--example",
        dest="command",
        action="store_const",
        const=("config", "example"),
        default=argparse.SUPPRESS,
        help="print a settings file to begin with: every setting, commented out",
    )
    _add_settings(config, *(name for name in known(Settings) if name != "data_dir"))


def _add_show(show: argparse.ArgumentParser) -> None:
    show.add_argument("message_id", metavar="MESSAGE_ID")
    _add_json(show)


def _add_quarantine(quarantine: argparse.ArgumentParser) -> None:
    _add_list(quarantine)
    actions = quarantine.add_subparsers(metavar="list|show|retry", parser_class=_Parser)
    rows = actions.add_parser("list", help="what is in quarantine, newest first")
    rows.set_defaults(command=("quarantine", "list_rows"))
    one = actions.add_parser("show", help="the raw bytes of one row")
    one.add_argument("row", metavar="ID", type=positive)
    one.set_defaults(command=("quarantine", "show"))
    again = actions.add_parser("retry", help="put all of it through today's rules again, after an upgrade")
    again.set_defaults(command=("quarantine", "retry"))
    _add_json(again, suppress=True)
    for action in (rows, one, again):
        _add_common(action)
    _add_list(rows, suppress=True)


def _add_token(token: argparse.ArgumentParser) -> None:
    _add_token_list(token)
    actions = token.add_subparsers(metavar="new|list|revoke", parser_class=_Parser)
    new = actions.add_parser("new", help="one more, which is shown from now on; the others go on working")
    new.add_argument("name", metavar="NAME", nargs="?", help="of a-z 0-9 _ - (default: a number)")
    new.set_defaults(command=("token", "new"))
    rows = actions.add_parser("list", help="their names, and how each was used since the service started")
    rows.set_defaults(command=("token", "list_tokens"))
    revoke = actions.add_parser("revoke", help="turn away whoever comes with it")
    revoke.add_argument("name", metavar="NAME")
    revoke.add_argument("--yes", action="store_true", help="do not ask")
    revoke.set_defaults(command=("token", "revoke"))
    for action in (new, rows, revoke):
        _add_common(action)
    _add_json(new, suppress=True)
    _add_token_list(rows, suppress=True)


def _add_token_list(parser: argparse.ArgumentParser, *, suppress: bool = False) -> None:
    _add_json(parser, suppress=suppress)
    default = argparse.SUPPRESS if suppress else False
    parser.add_argument("--reveal", action="store_true", default=default, help="print the secrets too")


def _add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    settings = known(Settings)
    for name in names:
        one = settings[name]
        default = f"default{':' if has_no_default(one) else ''} {default_in_words(one)}"
        does = f"{one.does} ({default})".replace("%", "%%")
        # SUPPRESS: an option before the command must not be undone by the default of the one after it.
        parser.add_argument(
            one.option,
            metavar=one.about.unit,
            help=does,
            default=argparse.SUPPRESS,
            action="append" if one.is_list else "store",
        )


def _add_serving(parser: argparse.ArgumentParser) -> None:
    _add_settings(parser, *(name for name in known(Settings) if name != "data_dir"))


def _add_common(parser: argparse.ArgumentParser) -> None:
    _add_settings(parser, "data_dir")
    parser.add_argument(
        "--config", metavar="FILE", type=Path, default=argparse.SUPPRESS, help="a settings file (TOML)"
    )


def _add_json(parser: argparse.ArgumentParser, *, suppress: bool = False) -> None:
    default = argparse.SUPPRESS if suppress else False
    parser.add_argument("--json", action="store_true", default=default, help="print JSON; a list as JSON Lines")


def _add_list(parser: argparse.ArgumentParser, *, suppress: bool = False) -> None:
    _add_json(parser, suppress=suppress)
    default = argparse.SUPPRESS if suppress else 50
    parser.add_argument("--limit", metavar="N", type=positive, default=default, help="at most N (default 50)")
