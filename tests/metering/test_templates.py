"""The grammar, held against the lists that Google, OpenAI and Anthropic publish."""

import re
from pathlib import Path

import pytest

from metering.paths import parse
from tests.metering.discovery import methods

CLIENTS = Path(__file__).resolve().parents[2] / ".venv" / "clients"
NODE = Path(__file__).resolve().parents[1] / "clients" / "sdk" / "node_modules"
WITHOUT_HOST = re.compile(r"/v1/(?:interactions|operations|models|skills|agents)(?:/|$)")
"""Paths that are another API's if only the path tells."""


def test_every_method_of_vertex_ai_has_a_name() -> None:
    listed = methods()
    assert len(listed) > 1500
    for http, path in listed:
        target = parse(http, path, "vertex")
        assert target, path
        assert re.fullmatch(r"[A-Za-z]\w+\.[a-z]\w+|[a-z]+[A-Za-z]*(?:/[a-z]+)?", target.operation or ""), (http, path)
        assert target.base == ""
        assert WITHOUT_HOST.match(path) or parse(http, path) == target, path


def test_operations_are_named_as_google_names_them() -> None:
    """The last part of the path without ids, and its verb."""
    for http, path in methods():
        end, colon, verb = path.rpartition("/")[2].partition(":")
        target = parse(http, path, "vertex")
        assert target
        if colon:
            assert str(target.operation).rpartition(".")[2] == verb, path
        elif end != "7" and http in ("GET", "POST") and target.surface == "vertex" and end not in OTHERWISE:
            assert str(target.operation).partition(".")[0] == end, path


OTHERWISE = {"cancel", "inference", "interactionsHttp"}
"""The last parts of paths that are verbs, or another name of the same thing."""


# OpenAI's API reference.
OPENAI = """
    chat/completions completions responses responses/{}/cancel responses/compact responses/input_tokens
    responses/{}/input_items conversations conversations/{}/items embeddings images/generations images/edits
    images/variations audio/speech audio/transcriptions audio/translations videos videos/{}/content videos/{}/remix
    moderations realtime/client_secrets realtime/sessions batches batches/{}/cancel files files/{}/content uploads
    uploads/{}/parts uploads/{}/complete fine_tuning/jobs fine_tuning/jobs/{}/events fine_tuning/jobs/{}/checkpoints
    vector_stores vector_stores/{}/search vector_stores/{}/file_batches vector_stores/{}/files assistants threads
    threads/{}/messages threads/{}/runs threads/{}/runs/{}/steps containers containers/{}/files
    agents agents/sessions agents/sessions/{}/turns agents/automations/{}/invocations chatkit/sessions
    chatkit/threads/{}/items content_provenance_checks decisions evals evals/{}/runs evals/{}/runs/{}/output_items
    fine_tuning/alpha/graders/run live/sessions live/sessions/{}/fork realtime/calls realtime/calls/{}/accept
    safety/cases skills skills/{}/versions vaults/{}/credentials webhook_endpoints
    threads/{}/runs/{}/submit_tool_outputs audio/voices audio/voice_consents chat/completions/{}/messages
""".split()


@pytest.mark.parametrize("path", OPENAI)
def test_words_and_ids_of_openai(path: str) -> None:
    """An operation has the words of a path, not its ids."""
    target = parse("POST", f"/v1/{path.replace('{}', 'id_1')}")
    assert target
    assert (target.surface, target.operation) == ("openai", path.replace("/{}", ""))


def _source(root: Path, pattern: str) -> str:
    files = sorted(root.glob(pattern))
    if not files:
        pytest.skip("run scripts/setup clients")
    return "\n".join(file.read_text() for file in files)


def test_every_path_of_openais_client() -> None:
    """What keeps an organization's books is not told apart further."""
    text = _source(CLIENTS, "lib/python3*/site-packages/openai/resources/**/*.py")
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
        (CLIENTS, "lib/python3*/site-packages/google/genai/[a-z]*.py"),
        (CLIENTS, "lib/python3*/site-packages/google/genai/_gaos/*.py"),
        (NODE, "@google/genai/dist/node/index.mjs"),
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
    text = _source(CLIENTS, "lib/python3*/site-packages/anthropic/lib/vertex/_client.py")
    paths = set(re.findall(r'"(/projects/[^"?]+)"', text))
    assert paths
    for path in paths:
        target = parse("POST", "/v1" + re.sub(r"\{\w+\}", "rawPredict", path))
        assert target
        assert (target.surface, target.operation, target.publisher) == ("vertex", "rawPredict", "anthropic")
