"""A word that must be found nowhere: it stands wherever a call can carry what nobody may see."""

from pathlib import Path
from typing import Any

from tests.process import Proxy

MARK = "MaRk7f3Q"
"""In prompts, keys, queries, URIs and answers."""
MARKED: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": f"{MARK} prompt"}, {"fileData": {"fileUri": f"gs://{MARK}/x"}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": MARK}}}]},
    ]
}


def assert_clean(proxy: Proxy) -> None:
    for file in filter(Path.is_file, proxy.folder.rglob("*")):
        assert MARK.encode() not in file.read_bytes(), (file.name, context_of(file))
    assert "Traceback" not in proxy.output


def context_of(file: Path) -> list[bytes]:
    data = file.read_bytes()
    return [data[max(0, n - 150) : n + 50] for n in range(len(data)) if data.startswith(MARK.encode(), n)][:3]
