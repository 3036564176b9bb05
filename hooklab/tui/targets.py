"""What a line on the screen can lead to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToMessage:
    """The timeline of a message."""

    message_id: str


@dataclass(frozen=True, slots=True)
class ToBatch:
    """One POST as it came."""

    number: int


@dataclass(frozen=True, slots=True)
class ToQuarantined:
    """One thing in quarantine, by its id."""

    row_id: int


@dataclass(frozen=True, slots=True)
class ToMessages:
    """The list of messages with a filter."""

    text: str


@dataclass(frozen=True, slots=True)
class ToScreen:
    """One of the numbered screens, by its name."""

    name: str


Target = ToMessage | ToBatch | ToQuarantined | ToMessages | ToScreen
