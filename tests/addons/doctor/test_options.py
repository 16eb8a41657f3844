import sys
from pathlib import Path

import pytest

from addons.configuration.settings import OPTIONS
from addons.doctor.finding import Finding
from addons.doctor.options import check_of
from addons.doctor.options import options
from addons.doctor.options import problems_of
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.addons.doctor.conftest import faults


def test_each_problem_is_a_finding(setup_of: SetupOf, home: Path) -> None:
    """Those of other checks are told there."""
    (home / ".mitmproxy").mkdir()
    (home / ".mitmproxy" / "config.yaml").write_text("vertex_proejct: a\nusage_tags: [a]\nview_order: time\n")
    setup = setup_of(
        *("usage_db=a.db", "usage_db=b.db", "key_size=abc", "mode=foo", "flow_detail=3", "gateway_keep_content=yes"),
        *("openai_endpoint=ftp://x", "vertex_location=Mars!", "vertex_api_key=AIza1", "vertex_api_key=AIza2"),
        yaml="services: {prod: {provider: vertx, api_key: sk-abc}}\nroutes: [{service: prd}]",
    )
    found = [(one.message.replace("gateway.yaml:1", "G"), one.remedy) for one in faults(options(setup))]
    # mitmproxy 11 and 12 say it in other words.
    found = [("key_size" if message.startswith("key_size: ") else message, remedy) for message, remedy in found]
    told = "this value cannot be used"
    assert sorted(found) == sorted(
        [
            ("vertex_proejct: there is no such option", "did you mean vertex_project?"),
            ("flow_detail: there is no such option", f"choose from {', '.join(OPTIONS)}"),
            (f"usage_tags: {told}", "write it as text"),
            ("usage_db: it is set several times", "set it once"),
            ("key_size", "set it to another value"),
            ("mode: unknown mode", "write one such as reverse:https://aiplatform.googleapis.com"),
            (f"gateway_keep_content: {told}", "write true or false"),
            (f"openai_endpoint: {told}", "write a URL such as https://example.com/v1"),
            (f"gateway_config: G: services.prod.provider: {told}", "write 'vertex' or 'openai'"),
            (
                "gateway_config: G: services.prod.api_key: keys cannot be in the file",
                "write api_key_env and the name of the environment variable that holds it",
            ),
            ("gateway_config: gateway.yaml:2: routes[0].service: there is no such service", "did you mean prod?"),
        ]
    )
    assert "AIza" not in str(found)


@pytest.mark.parametrize(
    ("sets", "message", "remedy"),
    [
        (
            ["vertex_auth=express", "vertex_api_key=AIzaX", "openai_mode=compatible"],
            "openai_mode: Vertex's OpenAI endpoint takes no API keys",
            "write convert, or another vertex_auth",
        ),
        (
            ["mode=regular", "openai_mode=convert"],
            "openai_mode: OpenAI calls are converted in reverse mode only",
            "write observe, or --mode reverse:...",
        ),
        (
            ["vertex_auth=express", "vertex_api_key=AIzaX", "ssl_insecure=true"],
            "ssl_insecure: credentials go to verified hosts only",
            "leave it out",
        ),
        (
            ["vertex_project=my-project"],
            "vertex_project: does nothing here, as it is used with vertex_auth=service_account or adc, or with"
            " openai_mode=convert or compatible only",
            "leave it out",
        ),
    ],
)
def test_options_that_contradict_each_other(setup_of: SetupOf, sets: list[str], message: str, remedy: str) -> None:
    setup = setup_of(*sets)
    (problem,) = setup.problems
    check = check_of(problem)
    assert [*problems_of(setup, check)] == [Finding(check, False, message, remedy)]


@pytest.mark.parametrize("content", ["a: [", "- a", "5: 6"])
def test_a_configuration_of_mitmproxy_that_cannot_be_read(setup_of: SetupOf, home: Path, content: str) -> None:
    (home / ".mitmproxy").mkdir()
    (home / ".mitmproxy" / "config.yaml").write_text(content)
    found = fault(options(setup_of()))
    assert found.message.startswith("config.yaml: ")
    assert found.remedy == "correct this file of mitmproxy"


def test_a_package_that_is_not_installed(setup_of: SetupOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    found = fault(options(setup_of(yaml="limits: {storage: 'redis://127.0.0.1'}")))
    assert found.message.endswith("limits.storage: needs the package redis, which is not installed")
    assert found.remedy == "run: pip install 'vertex-tap[redis]'"


def test_what_is_set(setup_of: SetupOf) -> None:
    (found,) = options(setup_of(usage_tags="x-team", openai_endpoint="https://llm.example/v1"))
    assert (found.ok, found.message) == (True, "set and usable: openai_endpoint, usage_tags")
    (found,) = options(setup_of(openai_mode="convert", vertex_project="A", usage_tags="x-team"))
    assert found.message == "set and usable: openai_mode, usage_tags"
    (found,) = options(setup_of())
    assert (found.ok, found.message) == (True, "they do not contradict each other")
