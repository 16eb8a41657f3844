"""The grammar, held against the lists that Google, OpenAI and Anthropic publish."""

import re

from metering.paths import parse
from tests.metering.discovery import methods

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
    agents/environments/templates agents/automations/{}/pause agents/automations/{}/resume agents/sessions/{}/artifacts
    agents/sessions/{}/artifacts/{}/content agents/sessions/{}/subagents/{}/items agents/sessions/{}/traces
    fine_tuning/alpha/graders/validate fine_tuning/checkpoints/{}/permissions live/sessions/{}/attach
    realtime/calls/{}/hangup realtime/calls/{}/refer realtime/calls/{}/reject realtime/transcription_sessions
    videos/extensions videos/characters organization safety/alerts/{} webhook_event_types webhook_endpoints/{}/test
    webhook_endpoints/{}/rotate_secret threads/{}/runs/{}/submit_tool_outputs
    audio/voices audio/voice_consents chat/completions/{}/messages
""".split()


def test_words_and_ids_of_openai() -> None:
    """An operation has the words of a path, not its ids."""
    targets = {path: parse("POST", f"/v1/{path.replace('{}', 'id_1')}") for path in OPENAI}
    found = {path: target and (target.surface, target.operation) for path, target in targets.items()}
    assert found == {path: ("openai", path.replace("/{}", "")) for path in OPENAI}
