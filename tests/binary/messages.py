"""The words of PyInstaller's bootloader, for the errors that whoever copied the one file may meet."""

from typing import Final

INSTEAD: Final = {
    b"[PYI-%d:%s] ": b"hooklab: ",
    b"[PYI-%d:ERROR] ": b"hooklab: ",
    b"Failed to load Python shared library '%s': %s\n": b"cannot load '%s': noexec? Set TMPDIR. %s\n",
    b"Could not create temporary directory!\n": b"no folder to unpack to: set TMPDIR\n",
    b"Failed to extract %s: decompression resulted in return code %d!\n": b"cannot unpack %s: TMPDIR full? (%d)\n",
    b"Failed to extract %s: failed to write data chunk!\n": b"cannot unpack %s: TMPDIR full?\n",
    b"Failed to extract entry: %s.\n": b"set TMPDIR to unpack %s\n",
}
"""Each has the same places to fill in, in the same order, and is no longer than what it stands for."""


class UnknownBootloaderError(Exception):
    """The bootloader is not the one whose words are known."""


def reworded(program: bytes) -> bytes:
    """A built program that says what to do where the folder for temporary files is of no use.

    The bootloader is compiled and speaks of its own matters: a folder mounted noexec is "failed to map segment".
    """
    for theirs, ours in INSTEAD.items():
        whole = b"\0" + theirs + b"\0"
        if program.count(whole) != 1:
            raise UnknownBootloaderError(f"PyInstaller's bootloader does not say {theirs!r}: see binary/messages.py")
        program = program.replace(whole, b"\0" + ours.ljust(len(theirs), b"\0") + b"\0")
    return program
