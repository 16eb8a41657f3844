import json
import os
import re
import select
import sys
from pathlib import Path

import pytest

from addons.configuration import key_command
from addons.configuration.key_command import KeyCommand
from tests.configuration import write_key
from tests.process import until


def test_what_it_prints_is_the_key(tmp_path: Path, info: dict[str, str]) -> None:
    """It runs in the folder of the file, with its words as they are, and without input."""
    write_key(tmp_path, info)
    script = 'test -z "$(cat)" && test "$0" = "a  \\$HOME" && echo noise >&2 && cat key.json'
    command = KeyCommand(("sh", "-c", script, "a  $HOME"), tmp_path)
    key = command.read()
    assert (key.project, key.origin) == ("test-project", command)
    assert key == command.read()
    write_key(tmp_path, info | {"private_key_id": "5"})
    assert key != command.read()


CASES = [
    (("no-such-program", "--password=secret"), "no-such-program cannot be started (No such file or directory); name a"),
    (("/",), "/ cannot be started (Permission denied); name a program"),
    (("a\0b",), "cannot be started (a word has a NUL character); name a program"),
    (("sh", "-c", "echo secret; echo secret >&2; exit 3"), "sh ended with exit status 3; run it by hand to see why"),
    (("sh", "-c", "cat key.json; exit 1"), "sh ended with exit status 1; run it by hand to see why"),
    (("sh", "-c", "kill -9 $$"), "sh was ended by signal 9; run it by hand to see why"),
    (("true",), "what true prints is not JSON (line 1, column 1); let it print the JSON key of a service account"),
    (("echo", "secret"), "what echo prints is not JSON (line 1, column 1); let it print"),
    (("echo", '{"type": "authorized_user"}'), "what echo prints is not the key of a service account"),
    (("printf", r"\377"), "what printf prints is not JSON; let it print"),
    (("yes", "secret"), "yes prints more than 64 KB, which is no key"),
]


@pytest.mark.parametrize(("words", "problem"), CASES, ids=[problem for _, problem in CASES])
def test_what_gives_no_key(words: tuple[str, ...], problem: str, tmp_path: Path, info: dict[str, str]) -> None:
    write_key(tmp_path, info)
    with pytest.raises(ValueError, match=re.escape(problem)) as told:
        KeyCommand(words, tmp_path).read()
    assert "secret" not in str(told.value)


HANGS = {
    "silent": "time.sleep(8)",
    "speaks first": "print('secret', flush=True); time.sleep(8)",
    "closes its output": "os.close(1); time.sleep(8)",
    "a program of it goes on": "os.fork() or time.sleep(8)",
}


@pytest.mark.parametrize("how", HANGS)
def test_one_that_hangs(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waited for its end would be told something else."""
    monkeypatch.setattr(key_command, "TIMEOUT_S", 0.5)
    script = f"import os, time; {HANGS[how]}"
    with pytest.raises(ValueError, match=r"took longer than 0\.5 seconds; run it by hand") as told:
        KeyCommand((sys.executable, "-S", "-c", script), tmp_path).read()
    assert "secret" not in str(told.value)


def test_a_script_that_hangs_ends_with_what_it_waits_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as gcloud, which is a script that starts Python. Each reading would leave another one."""
    monkeypatch.setattr(key_command, "TIMEOUT_S", 1.0)
    os.mkfifo(tmp_path / "lives")
    lives = os.open(tmp_path / "lives", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(ValueError, match="took longer"):
        KeyCommand(("sh", "-c", "exec 3> lives; sleep 60; :"), tmp_path).read()
    # Nobody has it open any more, so it ends.
    assert until(lambda: select.select([lives], [], [], 0)[0])
    assert os.read(lives, 1) == b""
    os.close(lives)


def test_a_long_key_is_read_whole(tmp_path: Path, info: dict[str, str]) -> None:
    """It comes in more than one piece."""
    write_key(tmp_path, json.dumps(info | {"more": "x" * 40_000}))
    halves = "head -c 20000 key.json; sleep 0.1; tail -c +20001 key.json"
    assert KeyCommand(("sh", "-c", halves), tmp_path).read().project == "test-project"
