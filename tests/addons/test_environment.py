import re
from pathlib import Path

import pytest
import trustme

from addons.environment import BASE_URLS
from addons.environment import GEMINI
from addons.environment import PROXIES
from addons.environment import certificates
from addons.environment import upstream_proxy
from addons.environment import upstreams
from addons.environment import with_base_urls
from addons.environment import with_proxy

URL = "http://127.0.0.1:5"
GEMINIS = "http://127.0.0.1:6"
OWN = {"PATH": "/bin", "OPENAI_API_KEY": "sk-own"}


class TestBaseUrls:
    def test_of_a_program(self) -> None:
        assert with_base_urls(OWN, URL, GEMINIS, converts=False) == OWN | {
            "GOOGLE_VERTEX_BASE_URL": URL,
            "GOOGLE_GEMINI_BASE_URL": GEMINIS,
            "OPENAI_BASE_URL": f"{URL}/v1",
            "OPENAI_API_BASE": f"{URL}/v1",
            "ANTHROPIC_VERTEX_BASE_URL": f"{URL}/v1",
        }

    def test_what_was_set_is_replaced(self) -> None:
        own = dict.fromkeys(BASE_URLS, "https://gw.example") | {"ANTHROPIC_BASE_URL": "https://gw.example"}
        assert "gw.example" not in str(with_base_urls(own, URL, GEMINIS, converts=True))

    def test_messages_if_they_are_converted(self) -> None:
        assert with_base_urls(OWN, URL, URL, converts=True)["ANTHROPIC_BASE_URL"] == URL
        own = {"ANTHROPIC_BASE_URL": "https://gw.example"}
        assert with_base_urls(own, URL, URL, converts=False)["ANTHROPIC_BASE_URL"] == "https://gw.example"

    @pytest.mark.parametrize("proxy", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
    def test_we_are_not_behind_a_proxy(self, proxy: str) -> None:
        made = with_base_urls({proxy: "http://p:1", "NO_PROXY": "a.example"}, URL, URL, converts=False)
        assert (made["NO_PROXY"], made["no_proxy"]) == ("a.example,127.0.0.1",) * 2
        assert with_base_urls({"HTTPS_PROXY": "http://p:1"}, URL, URL, converts=False).keys() & {"NO_PROXY"} == set()


class TestUpstreams:
    @pytest.mark.parametrize(
        ("environ", "options"),
        [
            ({}, {}),
            ({"OPENAI_BASE_URL": ""}, {}),
            ({"GOOGLE_VERTEX_BASE_URL": "https://gw.example/v/"}, {"vertex_endpoint": "https://gw.example:443/v"}),
            ({"ANTHROPIC_VERTEX_BASE_URL": "http://gw:9/v/v1"}, {"vertex_endpoint": "http://gw:9/v"}),
            ({"OPENAI_BASE_URL": "https://gw.example/llm/v1"}, {"openai_endpoint": "https://gw.example:443/llm/v1"}),
            ({"OPENAI_API_BASE": "http://[::1]:9"}, {"openai_endpoint": "http://[::1]:9"}),
            (
                {"OPENAI_BASE_URL": "https://gw.example/v1", "OPENAI_API_BASE": "https://gw.example:443/v1/"},
                {"openai_endpoint": "https://gw.example:443/v1"},
            ),
            (
                {"GOOGLE_VERTEX_BASE_URL": "https://gw.example", "ANTHROPIC_VERTEX_BASE_URL": "https://gw.example/v1"},
                {"vertex_endpoint": "https://gw.example:443"},
            ),
            # Nothing else is sent there.
            ({GEMINI: "https://gw.example"}, {}),
            (
                {GEMINI: "https://gw.example/g", "ANTHROPIC_VERTEX_BASE_URL": "https://gw.example/v/v1"},
                {"vertex_endpoint": "https://gw.example:443/v"},
            ),
            (
                {GEMINI: "https://generativelanguage.googleapis.com", "GOOGLE_VERTEX_BASE_URL": "https://gw.example"},
                {"vertex_endpoint": "https://gw.example:443"},
            ),
        ],
        ids=str,
    )
    def test_they_become_options(self, environ: dict[str, str], options: dict[str, str]) -> None:
        found = upstreams(environ, set(), openai_goes_on=True)
        assert (found.options, found.problems) == (options, [])
        assert (found.gemini is not None) == (GEMINI in environ)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"OPENAI_BASE_URL": "https://a.example/v1"}, {"OPENAI_API_BASE": "https://b.example/v1"}),
            ({"OPENAI_BASE_URL": "https://a.example/v1"}, {"OPENAI_API_BASE": "https://a.example/v2"}),
            ({"GOOGLE_VERTEX_BASE_URL": "https://a.example"}, {"ANTHROPIC_VERTEX_BASE_URL": "https://b.example/v1"}),
            ({"GOOGLE_VERTEX_BASE_URL": "https://a.example"}, {GEMINI: "https://b.example"}),
            ({"GOOGLE_VERTEX_BASE_URL": "https://a.example"}, {GEMINI: "http://a.example"}),
            ({GEMINI: "https://b.example"}, {"ANTHROPIC_VERTEX_BASE_URL": "https://a.example/v1"}),
        ],
        ids=str,
    )
    def test_two_that_differ(self, one: dict[str, str], other: dict[str, str]) -> None:
        (problem,) = upstreams(one | other, set(), openai_goes_on=True).problems
        assert problem.startswith(f"{next(iter(other))}: names another URL than {next(iter(one))}")

    def test_bad_urls(self) -> None:
        environ = {"OPENAI_BASE_URL": "gw", GEMINI: "https://user@gw", "ANTHROPIC_VERTEX_BASE_URL": "https://gw/claude"}
        assert [problem.partition(":")[0] for problem in upstreams(environ, set(), openai_goes_on=True).problems] == [
            GEMINI,
            "OPENAI_BASE_URL",
            "ANTHROPIC_VERTEX_BASE_URL",
        ]

    def test_options_that_are_set_win(self) -> None:
        environ = {"OPENAI_BASE_URL": "https://a.example", "OPENAI_API_BASE": "https://b.example"}
        assert upstreams(environ, {"openai_endpoint"}, openai_goes_on=True) == ({}, None, [])
        assert upstreams(environ, set(), openai_goes_on=False) == ({}, None, [])


class TestProxies:
    def test_of_a_program(self) -> None:
        made = with_proxy(OWN | {"NO_PROXY": "a.example", "SSL_CERT_FILE": "/own.pem"}, URL, Path("/b.pem"))
        assert made == OWN | {
            "NO_PROXY": "a.example",
            "HTTPS_PROXY": URL,
            "https_proxy": URL,
            "SSL_CERT_FILE": "/b.pem",
            "REQUESTS_CA_BUNDLE": "/b.pem",
            "CURL_CA_BUNDLE": "/b.pem",
            "NODE_EXTRA_CA_CERTS": "/b.pem",
            "NODE_USE_ENV_PROXY": "1",
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "/b.pem",
        }

    @pytest.mark.parametrize("variable", PROXIES)
    @pytest.mark.parametrize(
        ("text", "options"),
        [
            ("http://p.example:3128", {"mode": "upstream:http://p.example:3128"}),
            ("https://p.example/", {"mode": "upstream:https://p.example:443"}),
            ("p.example:8", {"mode": "upstream:http://p.example:8"}),
            ("http://u:a%40b@p:1", {"mode": "upstream:http://p:1", "upstream_auth": "u:a@b"}),
        ],
    )
    def test_one_that_is_set_becomes_the_upstream(self, variable: str, text: str, options: dict[str, str]) -> None:
        assert upstream_proxy({variable: text}) == (options, None, [])

    def test_none(self) -> None:
        assert upstream_proxy({"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": ""}) == ({}, None, [])

    @pytest.mark.parametrize(
        ("environ", "variable"),
        [
            ({"HTTPS_PROXY": "socks5://secret:secret@p:1"}, "HTTPS_PROXY"),
            ({"HTTPS_PROXY": "http://secret:secret@[::1"}, "HTTPS_PROXY"),
            ({"https_proxy": "http://"}, "https_proxy"),
            ({"https_proxy": "http://p:port"}, "https_proxy"),
            ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "HTTPS_PROXY"),
        ],
    )
    def test_problems(self, environ: dict[str, str], variable: str) -> None:
        (problem,) = upstream_proxy(environ).problems
        assert problem.startswith(f"{variable}: ")
        assert "secret" not in problem


class TestCertificates:
    def test_all_that_are_named(self, tmp_path: Path) -> None:
        own, others, folder = trustme.CA(), trustme.CA(), trustme.CA()
        own.cert_pem.write_to_path(tmp_path / "own.pem")
        others.cert_pem.write_to_path(tmp_path / "others.pem")
        (tmp_path / "folder").mkdir()
        folder.cert_pem.write_to_path(tmp_path / "folder" / "0.pem")
        found = certificates(
            {
                "SSL_CERT_FILE": str(tmp_path / "own.pem"),
                "CURL_CA_BUNDLE": str(tmp_path / "own.pem"),
                "NODE_EXTRA_CA_CERTS": str(tmp_path / "others.pem"),
                "REQUESTS_CA_BUNDLE": str(tmp_path / "folder"),
            }
        )
        assert found.problems == []
        for ca in (own, others, folder):
            assert found.pem.count(ca.cert_pem.bytes().decode().strip()) == 1
        # Each begins on a line of its own.
        assert not re.search(r"[^\n]-----BEGIN", found.pem)

    def test_files_that_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "empty.pem").touch()
        environ = {"SSL_CERT_FILE": "/nowhere.pem", "CURL_CA_BUNDLE": str(tmp_path / "empty.pem")}
        one, other = certificates(environ).problems
        assert one.startswith("SSL_CERT_FILE: /nowhere.pem cannot be read (No such file or directory)")
        assert other.startswith(f"CURL_CA_BUNDLE: there is no certificate in {tmp_path / 'empty.pem'}")
