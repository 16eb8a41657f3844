"""Every operation that the newest openai package knows is read, or known to use nothing, or named here as unread."""

import ast
from collections.abc import Iterator

from metering.call import UsageState
from metering.paths import parse
from metering.usage.formats import usage_of
from tests.clients.conftest import ENVIRONMENT

METHODS = {
    "_post": "POST",
    "_get": "GET",
    "_get_api_list": "GET",
    "_delete": "DELETE",
    "_put": "PUT",
    "_patch": "PATCH",
}
NOT_OURS = ("admin", "beta/agents", "beta/chatkit", "safety", "webhooks")
"""Folders and modules of resources whose paths are not recorded by operation: they manage accounts and agents."""
READ = {
    "audio/speech": "AudioReader",
    "audio/transcriptions": "AudioReader",
    "audio/translations": "AudioReader",
    "batches": "BatchReader",
    "chat/completions": "ChatReader",
    "completions": "ChatReader",
    "decisions": "ChatReader",
    "embeddings": "ChatReader",
    "images/edits": "ImagesReader",
    "images/generations": "ImagesReader",
    "images/variations": "ImagesReader",
    "responses": "ResponsesReader",
    "responses/compact": "ResponsesReader",
    "threads/runs": "ChatReader",
    "threads/runs/submit_tool_outputs": "ChatReader",
    "videos": "JobReader",
    "videos/edits": "JobReader",
    "videos/extensions": "JobReader",
    "videos/remix": "JobReader",
}
UNREAD = {
    "evals/runs": "the polls tell it, for each model",
    "fine_tuning/alpha/graders/run": "a sum of input and output",
    "fine_tuning/jobs": "training, which is billed when it is done",
    "live/sessions": "a call whose sound goes another way",
    "live/sessions/accept": "the same",
    "live/sessions/fork": "the same",
    "realtime/calls": "the same",
    "realtime/calls/accept": "the same",
    "vector_stores": "storage, which is billed by time",
    "vector_stores/file_batches": "the same",
    "vector_stores/files": "the same",
    "vector_stores/search": "a search, which has no tokens",
}
"""Operations that cost something, and why their answers are not read."""


def operations() -> Iterator[tuple[str, str]]:
    """The HTTP method and the path of every call of the package."""
    (resources,) = ENVIRONMENT.glob("lib/python3.*/site-packages/openai/resources")
    for module in sorted(resources.rglob("*.py")):
        if module.relative_to(resources).as_posix().startswith(NOT_OURS):
            continue
        for call in ast.walk(ast.parse(module.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
                path = call.args[0]
                if isinstance(path, ast.Call):
                    path = path.args[0]
                assert isinstance(path, ast.Constant), ast.unparse(call)
                given = [word.value for word in call.keywords if word.arg == "method"]
                method = ast.literal_eval(given[0]).upper() if given else METHODS[call.func.attr]
                yield method, "/v1" + str(path.value).partition("?")[0]


def test_every_operation_is_read_or_known_to_use_nothing() -> None:
    read, unread = {}, set()
    for method, path in operations():
        target = parse(method, path.replace("{", "").replace("}", ""))
        assert target, path
        assert (target.surface, target.operation is None) == ("openai", False), path
        usage = usage_of(target, method, "m")
        if usage.state == UsageState.UNSUPPORTED:
            unread.add(target.operation)
        elif usage.state is None:
            assert method == "POST", path
            read[target.operation] = type(usage.reader).__name__
    assert read == READ
    assert unread == set(UNREAD)
