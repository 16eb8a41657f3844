"""A command that prints a key, such as that of a keyring or a vault: the key is never on disk in the clear."""

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from addons.configuration.identity import Identity
from addons.configuration.identity import identity_of

TIMEOUT_S = 30.0
LONGEST = 64 * 1024
"""The most bytes that a command may print. A key has two or three thousand."""


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """A command that prints the JSON key of a service account.

    It is run without a shell, and without input. What it prints on standard error is not shown, as that may quote the
    key.
    """

    words: tuple[str, ...]
    """The program and its arguments."""
    folder: Path
    """Where it runs."""

    def read(self) -> Identity:
        """Run the command. Raises ValueError, which names the program only: its arguments may be secrets."""
        return identity_of(
            self._output(), self, f"what {self.words[0]} prints", "let it print the JSON key of a service account"
        )

    def _output(self) -> bytes:
        program = self.words[0]
        try:
            process = subprocess.Popen(
                self.words,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) else "a word has a NUL character"
            raise ValueError(f"{program} cannot be started ({reason}); name a program and its arguments") from None
        deadline = time.monotonic() + TIMEOUT_S
        try:
            output = _read(process, deadline)
            if len(output) > LONGEST:
                raise ValueError(f"{program} prints more than {LONGEST // 1024} KB, which is no key")
            status = process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            raise ValueError(
                f"{program} took longer than {TIMEOUT_S:g} seconds; run it by hand to see what it waits for"
            ) from None
        finally:
            if process.returncode is None:
                # The program may be a script that waits for another one, as gcloud is.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            assert process.stdout
            process.stdout.close()
            process.wait()
        if status:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
            raise ValueError(f"{program} {how}; run it by hand to see why")
        return output


def _read(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """What a process prints, up to a piece that is too much. Raises TimeoutExpired."""
    assert process.stdout
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(deadline - time.monotonic(), 0)):
            piece = os.read(process.stdout.fileno(), LONGEST)
            output += piece
            if not piece or len(output) > LONGEST:
                return output
    raise subprocess.TimeoutExpired(process.args, TIMEOUT_S)
