"""Golden tables: the requests that conversions send, and the answers that clients get, for many calls. A human reviews
each change of these files.

python -m tests.golden [--write]

Each file of FOLDER is one case:

    call      the client's request: `from` (openai, google or anthropic; `passed` and `anthropic to openai` if a service
              of OpenAI's dialect answers), `operation`, and one of `body` (JSON), `form` or `raw` (a string, for a body
              that is not valid JSON); other members are those of ClientRequest
    models    the models that are asked for, one after the other
    changes   place -> values: the case is repeated with each value in that place:
              {"call.body.reasoning_effort": ["low", "high"]}
    answer    the service's answer, if it is not streamed; or
    events    the events of its stream
    gets      the results, written by --write: model -> the requests that are sent or, if the case has an answer, the
              client's answer; then, for each change, only the differences: place -> value, or "(gone)"

`{"png": [64, 48]}` stands for an image of that size in base64; in a form, `{"file": [64, 48]}` stands for an uploaded
image. Long strings in results are shortened. Without `--write` nothing is written, and the names of the files that
differ are printed. tests/test_golden.py fails if a file differs.
"""

import argparse
import base64
import copy
import hashlib
import json
import uuid
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from urllib3.filepost import encode_multipart_formdata

from addons.translation.conversions import for_openai
from addons.translation.conversions import from_anthropic
from addons.translation.conversions import from_google
from addons.translation.conversions import from_openai
from addons.translation.conversions import pass_on
from addons.translation.errors import Failure
from addons.translation.errors import InvalidRequest
from addons.translation.plan import ClientRequest
from addons.translation.plan import Conversion
from addons.translation.plan import Plan
from tests.vertex_simulator.pictures import png

FOLDER = Path(__file__).parent / "addons" / "translation" / "golden"
Json = dict[str, Any]
ASKED: dict[str, Callable[..., Plan]] = {
    "openai": from_openai,
    "google": from_google,
    "passed": pass_on,
    "anthropic": from_anthropic,
    "anthropic to openai": partial(for_openai, "anthropic"),
}
LONGEST = 400
"""Characters: a longer string without spaces is shortened in a result."""
UNCHANGED = "as it is"


def cases() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def results(case: Json) -> Json:
    """The value of `gets` for a case: model -> change -> result or differences."""
    told = dict(_told({name: value for name, value in case.items() if name != "gets"}))
    return {model: _differences({name: _result(one, model) for name, one in told.items()}) for model in case["models"]}


def _differences(got: Json) -> Json:
    usual = got[UNCHANGED]
    return {name: one if one is usual else dict(_differing(usual, one, "")) for name, one in got.items()}


def _differing(before: Any, after: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() & after.keys():
        for name in before | after:
            if name not in after:
                yield f"{place}{name}", "(gone)"
            elif name not in before:
                yield f"{place}{name}", after[name]
            else:
                yield from _differing(before[name], after[name], f"{place}{name}.")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after) > 0:
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differing(one, other, f"{place}{number}.")
    elif before != after:
        yield place.removesuffix(".") or "all", after


def _told(case: Json) -> Iterator[tuple[str, Json]]:
    """The names of the changes of a case, each with the changed case; first the case itself, named UNCHANGED."""
    yield UNCHANGED, case
    for place, values in case.get("changes", {}).items():
        for value in values:
            changed = copy.deepcopy(case)
            *way, last = place.split(".")
            there: Any = changed
            for name in way:
                there = there[int(name)] if isinstance(there, list) else there.setdefault(name, {})
            there[int(last) if isinstance(there, list) else last] = value
            yield f"{place}={json.dumps(value)}", changed


def _result(case: Json, model: str) -> Json:
    with _same_every_time():
        try:
            plan = _plan(_drawn(case["call"]), model)
        except InvalidRequest as e:
            return {"refused": str(e), "status": e.status, "param": e.param, "code": e.code}
        if "answer" not in case and "events" not in case:
            return {name: _short(value) for name, value in _sent(plan).items()}
        assert plan.conversion
        if "events" in case:
            return {"stream": _stream(plan.conversion, _drawn(case["events"]))}
        documents = [_drawn(case["answer"])] * len(plan.sendings)
        return {name: _short(value) for name, value in _whole(plan.conversion, documents).items()}


def _plan(call: Json, model: str) -> Plan:
    operation: str = call["operation"]
    content_type, raw = "application/json", b""
    if form := call.get("form"):
        fields = [(name, _field(value)) for name, value in (form | {"model": model}).items()]
        raw, content_type = encode_multipart_formdata(fields, boundary="x")
    elif text := call.get("raw"):
        raw = text.replace("MODEL", model).encode()
    elif (body := call.get("body")) is not None:
        raw = json.dumps(body if call["from"] == "google" else {"model": model} | body).encode()
    asked = ClientRequest(
        operation=operation,
        method=str(call.get("method", "POST")),
        path=str(call.get("path", operation)),
        resource=str(model if call["from"] == "google" else call.get("resource", "")),
        content_type=content_type,
        raw=raw,
        betas=str(call.get("betas", "")),
    )
    more = {"compatible": True} if call.get("compatible") else {}
    return ASKED[call["from"]](asked, lambda name: name, **more)


def _field(value: Any) -> Any:
    if isinstance(value, dict):
        width, height = value["file"]
        return ("a.png", png(width, height), "image/png")
    return str(value)


def _sent(plan: Plan) -> Json:
    sent: Json = {"sent": [_sending(sending) for sending in plan.sendings]}
    told = {"headers": plan.headers, "dropped": plan.notes.dropped, "assumed": plan.notes.assumed}
    return sent | {name: value for name, value in told.items() if value}


def _sending(sending: Any) -> Json:
    is_json = sending.content_type == "application/json"
    body = json.loads(sending.body or b"null") if is_json else sending.body.decode("latin-1").splitlines()
    return {f"{sending.method} {sending.resource}": body}


def _stream(conversion: Conversion, events: list[Any]) -> list[str]:
    written = b"".join(map(conversion.feed, events))
    return (written + (b"" if conversion.failed else conversion.end())).decode().splitlines()


def _whole(conversion: Conversion, documents: list[Any]) -> Json:
    whole = conversion.whole(documents)
    if isinstance(whole, Failure):
        return {"failure": [whole.status, whole.message, whole.code]}
    if isinstance(whole, dict):
        return {"answer": whole}
    return {"content": [str(member) for member in whole]}


def _drawn(value: Any) -> Any:
    """A JSON value in which each `{"png": ...}` is replaced by an image."""
    if isinstance(value, list):
        return [_drawn(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"png"}:
        return base64.b64encode(png(*value["png"])).decode()
    return {name: _drawn(item) for name, item in value.items()}


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    if isinstance(value, str) and len(value) > LONGEST and " " not in value:
        return f"{value[:16]}... ({len(value)} characters, {hashlib.sha256(value.encode()).hexdigest()[:8]})"
    return value


@contextmanager
def _same_every_time() -> Iterator[None]:
    """Makes the times and ids in answers the same in each run."""
    numbers = count(1)

    def uuid4() -> uuid.UUID:
        return uuid.UUID(int=next(numbers))

    with mock.patch("time.time", _time), mock.patch("uuid.uuid4", uuid4):
        yield


def _time() -> float:
    return 1_700_000_000.0


def text_of(case: Json) -> str:
    """The text of a case's file. Each change and each result has a line of its own, so that a diff is easy to read."""
    parts = {name: json.dumps(value, indent=2, ensure_ascii=False) for name, value in case.items()}
    if changes := case.get("changes"):
        parts["changes"] = _members({place: f"[{_lines(map(_line, values))}]" for place, values in changes.items()})
    gets = {model: _members({name: _line(got) for name, got in told.items()}) for model, told in case["gets"].items()}
    return _members(parts | {"gets": _members(gets)}) + "\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _members(texts: dict[str, str]) -> str:
    return f"{{{_lines(f'{json.dumps(name)}: {text}' for name, text in texts.items())}}}"


def _lines(texts: Iterable[str]) -> str:
    return ("\n" + ",\n".join(texts)).replace("\n", "\n  ") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what the conversions give now")
    is_written, differ = parser.parse_args().write, 0
    for path in cases():
        before = path.read_text()
        case = json.loads(before)
        after = text_of(case | {"gets": results(case)})
        if before != after:
            differ += 1
            print(f"{'written' if is_written else 'differs'}: {path.name}")
            if is_written:
                path.write_text(after)
    raise SystemExit(bool(differ) and not is_written)


if __name__ == "__main__":
    main()
