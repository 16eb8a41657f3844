"""Every path that the SDKs can send has an operation. The paths are those in their source."""

import re
from pathlib import Path

import pytest

from metering.paths import parse
from tests.clients.conftest import ENVIRONMENT
from tests.clients.conftest import SDK


def _source(root: Path, pattern: str) -> str:
    return "\n".join(file.read_text() for file in sorted(root.glob(pattern)))


def test_every_path_of_openais_client() -> None:
    """What keeps an organization's books is not told apart further."""
    text = _source(ENVIRONMENT, "lib/python3*/site-packages/openai/resources/**/*.py")
    paths = {path.partition("?")[0] for path in re.findall(r'"(/[a-z][\w/{}]*(?:\?[^"]*)?)"', text)}
    paths = {path for path in paths if not path.startswith(("/organization", "/projects", "/v1/"))}
    assert len(paths) > 100
    for path in paths:
        target = parse("POST", "/v1" + re.sub(r"\{\w+\}", "id_1", path), "openai")
        assert target, path
        assert target.operation == re.sub(r"/\{\w+\}", "", path)[1:], path


SENT = re.compile(r"""(?:path = |formatMap\(|pathToFunc\(|path=)f?["'](/?[\w{}:/]*\w[\w{}:/]*)["'?]""")
"""How google-genai writes its paths: `path = '{model}:predict'`, `formatMap('batches/{name}'`."""
NAMES = (
    "models/m",
    "publishers/google/models/m",
    "fileSearchStores/s",
    "operations/o",
    "cachedContents/c",
    "batches/b",
)
"""What may stand in the place of a name."""


@pytest.mark.parametrize(
    ("root", "pattern"),
    [
        (ENVIRONMENT, "lib/python3*/site-packages/google/genai/[a-z]*.py"),
        (ENVIRONMENT, "lib/python3*/site-packages/google/genai/_gaos/*.py"),
        (SDK / "node_modules", "@google/genai/dist/node/index.mjs"),
    ],
    ids=["python", "python-generated", "javascript"],
)
def test_every_path_of_googles_clients(root: Path, pattern: str) -> None:
    templates = {path for path in SENT.findall(_source(root, pattern)) if path not in ("path", "{path}")}
    assert len(templates) > 20
    for template in templates:
        path = re.sub(r"^/?(?:upload/)?(?:\{+api_version\}+/|v1beta/)?", "", template)
        named = [re.sub(r"^\{\w+\}", name, path) for name in NAMES] if path.startswith("{") else [path]
        named = [re.sub(r"\{\w+\}", "7", each) for each in named]
        upload = "/upload" if "upload/" in template else ""
        operations = {
            target.operation
            for each in named
            for prefix in ("/v1beta/", "/v1beta1/projects/p/locations/global/")
            for http in ("POST", "PUT", "GET")
            if (target := parse(http, upload + prefix + each))
        }
        assert operations - {None}, template
        verb = path.rpartition("}")[2].partition(":")[2]
        assert not verb or any(str(operation).rpartition(".")[2] == verb for operation in operations), template


def test_every_path_of_anthropics_client_for_vertex_ai() -> None:
    text = _source(ENVIRONMENT, "lib/python3*/site-packages/anthropic/lib/vertex/_client.py")
    paths = set(re.findall(r'"(/projects/[^"?]+)"', text))
    assert paths
    for path in paths:
        target = parse("POST", "/v1" + re.sub(r"\{\w+\}", "rawPredict", path))
        assert target
        assert (target.surface, target.operation, target.publisher) == ("vertex", "rawPredict", "anthropic")
