import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.sdks import sdk_of

GENAI = "google-genai-sdk/1.50.1 gl-node/v22.19.0"

SAMPLES = [
    # user-agent, x-goog-api-client, sdk
    # SDKs alone
    ("google-genai-sdk/3.4.0 gl-python/3.11.7", "google-genai-sdk/3.4.0 gl-python/3.11.7", "google-genai-sdk/3.4.0"),
    ("undici", GENAI, "google-genai-sdk/1.50.1"),
    ("OpenAI/Python 3.52.0", "", "openai/3.52.0"),
    ("AsyncOpenAI/JS 7.55.0", "", "openai/7.55.0"),
    ("OpenAI/Go 1.2.0", "", "openai/1.2.0"),
    ("AnthropicVertex/Python 2.11.0", "", "anthropicvertex/2.11.0"),
    ("Anthropic/JS 0.70.0", "", "anthropic/0.70.0"),
    ("node/22.1", "genai-js/0.24.1", "genai-js/0.24.1"),
    ("grpc-python/1.71.0", "genai-py/0.8.5 gl-python/3.11 grpc/1.71.0 gax/2.24", "genai-py/0.8.5"),
    ("model-builder/1.70.0+top_google_constructor_method grpc-python/1.71", "", "model-builder/1.70.0"),
    ("grpc-python/1.71.0 grpc-c/46.0.0 (linux; chttp2)", "", "grpc-python/1.71.0"),
    ("curl/8.5.0", "", "curl/8.5.0"),
    ("python-requests/2.32.3", "gl-python/3.11", "python-requests/2.32.3"),
    ("python-httpx/0.28.1", "", "python-httpx/0.28.1"),
    # Vercel's AI SDK: whole answers, streams, each provider; of versions 5 and 6
    ("ai/7.0.173 ai-sdk-provider-utils/5.0.81 node.js/24", "", "ai-sdk/5.0.81"),
    ("ai-sdk-openai/4.0.118 ai-sdk-provider-utils/5.0.81 node.js/24", "", "ai-sdk/5.0.81"),
    ("ai-sdk-google-vertex/5.0.141 ai-sdk-provider-utils/5.0.81 node.js/24", "", "ai-sdk/5.0.81"),
    ("ai-sdk-anthropic/4.0.105 ai-sdk-provider-utils/5.0.81 node.js/24", "", "ai-sdk/5.0.81"),
    ("ai/6.0.5 ai-sdk/provider-utils/4.0.1 runtime/node.js/22", "", "ai-sdk/4.0.1"),
    ("ai-sdk/openai/3.0.12 ai-sdk/provider-utils/4.0.1 runtime/node.js/22", "", "ai-sdk/4.0.1"),
    ("ai/6.0.5", "", "ai-sdk/6.0.5"),
    ("ai-sdk/openai/3.0.12", "", "ai-sdk/3.0.12"),
    ("Dart/3.5 (dart:io)", "genai-dart/0.4.7", "genai-dart/0.4.7"),
    # Agents
    ("GeminiCLI/0.61.0/gemini-3-pro (linux; x64; terminal)", GENAI, "geminicli/0.61.0"),
    ("GeminiCLI-tui/0.44.1/gemini-3.1-pro (darwin; arm64) google-api-nodejs-client/9.15.1", "", "geminicli/0.44.1"),
    ("GeminiCLI/v0.1.5 (win32; x64)", GENAI, "geminicli/0.1.5"),
    ("GeminiCLI/0.61.0-nightly.20261101.5f1a2b (linux; x64)", "", "geminicli/0.61.0-nightly.20261101"),
    ("QwenCode/0.14.1 (linux; x64)", "", "qwencode/0.14.1"),
    ("codex_cli_rs/0.98.0 (Ubuntu 26.4.0; x86_64) xterm-256color", "", "codex_cli_rs/0.98.0"),
    ("codex_exec/0.156.0 (Mac OS 27.0.0; arm64) unknown (codex_exec; 0.156.0)", "", "codex_exec/0.156.0"),
    (
        "Codex Desktop/0.133.0-alpha.1 (Mac OS 15.7.3; x86_64) unknown (Codex Desktop; 26.519.41501)",
        "",
        "codex-desktop/0.133.0-alpha.1",
    ),
    ("claude-cli/2.1.220 (external, cli)", "", "claude-cli/2.1.220"),
    ("opencode/1.18.31 ai-sdk/provider-utils/4.0.23 runtime/node.js/22", "", "opencode/1.18.31"),
    ("opencode/latest/1.3.15/cli", "", "opencode/1.3.15"),
    ("RooCode/3.36.2 ZooCode/3.36.2 (VSCode; OpenAI-Compatible)", "", "roocode/3.36.2"),
    ("Cline/3.79.0", "", "cline/3.79.0"),
    ("Zed/0.170.4 (macos; aarch64)", "", "zed/0.170.4"),
    (
        "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Cursor/1.7.2 Chrome/138.0",
        "",
        "cursor/1.7.2",
    ),
    # Frameworks
    ("google-genai-sdk/1.50.1 gl-python/3.11.7 pydantic-ai/1.2.0", GENAI, "pydantic-ai/1.2.0"),
    ("pydantic-ai/1.2.0", "", "pydantic-ai/1.2.0"),
    ("litellm/1.101.0", "", "litellm/1.101.0"),
    ("langchainjs-openai/1.0.0 ((node/v20.18.0; win32; x64))", "", "langchainjs-openai/1.0.0"),
    (
        "google-genai-sdk/1.50.1 gl-python/3.11.7",
        "google-genai-sdk/1.50.1 gl-python/3.11.7 langchain-google-genai/4.2.3-ChatGoogleGenerativeAI",
        "langchain-google-genai/4.2.3",
    ),
    ("", "google-genai-sdk/1.50.1 gl-python/3.11.7 mcp_used/1.12.0", "google-genai-sdk/1.50.1"),
    ("", f"google-adk/1.2.0 gl-typescript/v22.19.0 {GENAI}", "google-adk/1.2.0"),
    ("llama-index/0.14.4-VertexAIIndex", "gl-python/3.11.7 grpc/1.71.0 gax/2.24 gapic/1.1", "llama-index/0.14.4"),
    ("my-app/2.0", GENAI, "my-app/2.0"),
    ("spring-ai google-genai-sdk/1.30.0 gl-java/21", "", "google-genai-sdk/1.30.0"),
    ("spring-ai ai-sdk/openai/3.0.12", "", "ai-sdk/3.0.12"),
    # Nothing is named.
    ("", "", None),
    ("my prompt in a strange place", "", None),
    ("what is 1/2 of my/secret", "", None),
]


def test_sdk() -> None:
    found = {
        (agent, client): sdk_of({"user-agent": agent, "x-goog-api-client": client}) for agent, client, _ in SAMPLES
    }
    assert found == {(agent, client): sdk for agent, client, sdk in SAMPLES}


@pytest.mark.parametrize("name", ["LS", "t", "Abc"])
def test_a_class_that_a_bundler_renamed(name: str) -> None:
    assert sdk_of({"user-agent": f"{name}/JS 5.23.2"}) == "openai/5.23.2"
    assert sdk_of({"user-agent": f"{name}/JS 0.70.0", "anthropic-version": "2023-06-01"}) == "anthropic/0.70.0"
    assert sdk_of({"user-agent": "Groq/JS 0.9.0"}) == "groq/0.9.0"


def test_every_library_is_beneath_an_application() -> None:
    """An application is found on whatever side of these it stands."""
    for library in BENEATH:
        for agent in (f"{library}/1.2.3 app/4.5", f"app/4.5 {library}/1.2.3"):
            assert sdk_of({"user-agent": agent}) == "app/4.5"


BENEATH = """
    google-genai-sdk genai-js genai-py openai anthropic model-builder vertex-genai-modules google-api-nodejs-client
    google-auth-library google-cloud-aiplatform gl-python gapic gax gccl gccl-invocation-id gdcl grpc grpc-python rest
    pb auth cred-type runtime node node.js bun deno python cpython pypy java go php ruby dotnet darwin linux windows os
    lang md mcp_used ua python-requests httpx httpx2 requests aiohttp urllib urllib3 axios undici node-fetch got ky
    go-http-client okhttp apache-httpclient reqwest hyper curl wget cfnetwork guzzlehttp faraday mozilla applewebkit
    chrome chromium safari gecko firefox electron edg opr version mobile ai ai-sdk ai-sdk-openai ai-sdk/openai
    dart dalvik java-http-client reactornetty ktor ktor-client headlesschrome crios
""".split()


def test_versions_that_are_not_final() -> None:
    agents = [f"app/1.2.3-{word}.4" for word in "alpha beta rc preview nightly dev canary next a b post".split()]
    assert [sdk_of({"user-agent": agent}) for agent in agents] == agents


def test_nothing_that_may_be_a_secret() -> None:
    agents = [
        "sk-proj-abcdefghijklmnop/1.0",
        "AIzaSyD1234567890abcdefghijklmnopqrst/1.0",
        "ya29.a0AfH6SM/1",
        "AQ.Ab8RN6/1",
        "eyJhbGciOiJIUzI1NiJ9/1",
        "key9f8e7d6c5b4a39281706/1",
        "app/4f3a9c1d2e5b6a7c8d9e0f1a2b3c4d5e",
        "app/sk-proj-abcdef",
        "app/123456789",
        "a" * 41 + "/1.0",
        "app/secret",
        "(app/1.0)",
        "(app/1.0",
        "x" * 2000 + " app/1.0",
    ]
    assert {agent: sdk_of({"user-agent": agent}) for agent in agents} == dict.fromkeys(agents)


def test_only_the_version_is_taken() -> None:
    assert sdk_of({"user-agent": "app/1.2.3+customer.acme"}) == "app/1.2.3"


@given(st.text(), st.text())
def test_any_header(agent: str, client: str) -> None:
    assert len(sdk_of({"user-agent": agent, "x-goog-api-client": client}) or "") <= 100
