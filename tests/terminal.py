"""The interactive shell on a pseudo-terminal, as a person has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

from conftest import RUVECTOR, SECONDS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The line editor asks for bracketed paste while it reads, and not while a statement runs.
READS = "\x1b[?2004h"
RUNS = "\x1b[?2004l"
# The prompt for the rest of a statement.
CONTINUES = "     ...> "

# The terminal of a process is the first that it opens in a session of its own; here it is told.
_START = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """What is typed and what is seen."""

    def __init__(self, file: int, process: subprocess.Popen[bytes]) -> None:
        self.file = file
        self.process = process
        self.seen = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.file, keys.encode())

    def wait_for(self, text: str) -> str:
        """Return what is seen up to the next `text`, and forget it."""
        deadline = time.monotonic() + SECONDS_MAX
        while text not in self.seen:
            ready, _, _ = select.select([self.file], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited for {text!r}, saw {self.seen!r}"
            self.seen += os.read(self.file, 1 << 16).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def run(self, text: str) -> str:
        """Type lines, press Enter after each, and return what is printed until the next prompt."""
        *lines, last = text.split("\n")
        for line in lines:
            self.type(f"{line}\r")
            self.wait_for(CONTINUES)
        self.type(f"{last}\r")
        self.wait_for(RUNS)
        return self.answer()

    def answer(self) -> str:
        """Return what is printed until the next prompt."""
        return plain(self.wait_for(READS))

    def expect_completion(self, text: str, completed: str) -> None:
        """Type a text and Tab, wait until the line is the completed one, and drop it."""
        self.type(f"{text}\t")
        # The editor writes the whole line again.
        self.wait_for(f"ruvector> {completed}\r")
        self.type("\x03")
        self.wait_for(READS)


def plain(text: str) -> str:
    """Return what is left on the terminal of a text: a line that was cleared is gone."""
    lines = text.replace("\r\n", "\n").split("\n")
    lines = [re.split(r"\r?\x1b\[2?K", line)[-1] for line in lines]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", "\n".join(lines)).strip("\r\n")


@contextlib.contextmanager
def shell(history: Path, *arguments: object, columns: int = 120) -> Iterator[Terminal]:
    """Run `ruvector sql` on a pseudo-terminal, leave it with Ctrl-D and expect exit code 0."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "RUVECTOR_HISTORY": str(history)}
    command = [sys.executable, "-c", _START, str(RUVECTOR), "sql", *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        try:
            terminal = Terminal(ours, process)
            terminal.wait_for(READS)
            yield terminal
            terminal.type("\x04")
            assert process.wait(SECONDS_MAX) == 0
        finally:
            process.kill()
            os.close(ours)
