import os
from pathlib import Path

import pytest
from mitmproxy import exceptions
from mitmproxy.options import Options

from addons.config_files import load

CASES = {
    "a list": (b"- listen_port", "write options into it"),
    "a number": (b"5", "write options into it"),
    "a number as a name": (b"5: 6", "write options into it"),
    "scripts that are none": (b"scripts: 5", "write options into it"),
    "another type": (b"listen_port: many", "Expected "),
    "no YAML": (b"a: [", "line 1"),
    "no text": (b"\xff\xfe\x00", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_read(tmp_path: Path, case: str) -> None:
    content, why = CASES[case]
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(exceptions.OptionsError) as found:
        load(Options(), file)
    assert str(file) in str(found.value)
    assert why in str(found.value)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read any file")
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("listen_port: 1")
    file.chmod(0)
    with pytest.raises(exceptions.OptionsError, match="Permission denied"):
        load(Options(), file)


def test_options_of_a_file(tmp_path: Path) -> None:
    opts = Options()
    load(opts, tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("listen_port: 1\nof_others: 2\n")
    load(opts, tmp_path / "config.yaml")
    assert (opts.listen_port, opts.deferred) == (1, {"of_others": 2})
