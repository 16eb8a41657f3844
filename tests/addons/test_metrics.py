import json
import re
import time
from pathlib import Path
from typing import Any
from typing import ClassVar

import pytest
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as openmetrics

from addons import metrics
from addons.classify import Classify
from addons.configuration.settings import read
from addons.exchange import Exchange
from addons.metrics import LONGEST_VALUE
from addons.metrics import MOST_VALUES
from addons.metrics import Metrics
from addons.options import Options
from addons.recorder import Recorder
from metering.call import Call
from metering.call import Settlement
from metering.outcome import Ending
from metering.written import Kept
from tests.addons.test_recorder import Held
from tests.addons.test_recorder import answer
from tests.configuration import DEFAULTS
from tests.metering.test_conventions import call
from tests.process import ROOT
from tests.promtool import check_metrics
from tests.promtool import check_queries

CONFIGURATION = read(DEFAULTS, [])
Samples = dict[str, float]


class Watched:
    """Metrics of a recorder that records nothing, and what they say."""

    def __init__(self, **settings: Any) -> None:
        options = Options()
        options.configuration = CONFIGURATION
        self.metrics = Metrics(Recorder(options, Classify(options).exchanges), **settings)

    def end(self, one: Call, kept: Kept = Kept.COMMITTED) -> None:
        self.metrics.ended(Exchange(one, None, "", "", None, CONFIGURATION), kept, None)

    @property
    def text(self) -> str:
        return self.metrics.metrics_text("")[0].decode()

    def samples(self, name: str) -> Samples:
        return samples(self.text, name)


def samples(text: str, name: str) -> Samples:
    """Values of the labels of a metric, joined by blanks in the order of their names -> value."""
    return {
        " ".join(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in prometheus.text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_the_names_and_labels_of_the_contract() -> None:
    watched = Watched()
    watched.end(call(service="prod", client="team-a"))
    watched.metrics.wrote(0.002)
    found = {
        sample.name: set(sample.labels)
        for family in prometheus.text_string_to_metric_families(watched.text)
        for sample in family.samples
    }
    names = {"model", "operation", "service", "client", "state", "status_class"}
    assert found["vertex_tap_calls_total"] == names
    assert found["vertex_tap_rows_total"] == {"how"}
    assert found["vertex_tap_usage_total"] == {"usage_state"}
    for name in ("vertex_tap_calls_open", "vertex_tap_cost_usd_total", "vertex_tap_commit_seconds_count"):
        assert found[name] == set()
    common = {"gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model"}
    for kind in ("input", "output", "cache_read_input", "reasoning_output"):
        assert found[f"gen_ai_client_inference_usage_{kind}_tokens_total"] == {*common, "gen_ai_token_modality"}
    assert found["gen_ai_client_token_usage_sum"] == {*common, "gen_ai_token_type"}
    for name in ("inference_duration", "inference_time_to_first_chunk", "operation_duration"):
        assert found[f"gen_ai_client_{name}_count"] == {*common, "error_type"}
    assert not [name for name in found if name.endswith("_created")]


def test_what_a_call_adds() -> None:
    watched = Watched(cost_of=lambda one: 0.25 if one.model == "gemini-2.5-flash" else None)
    watched.end(call(service="prod", client="team-a"))
    watched.end(call(service="prod", client="team-a"), Kept.SPILLED)
    refused = {"status": 401, "state": "refused", "usage_state": "not_applicable", "input_tokens": None}
    watched.end(call(model=None, output_tokens=None, upstream_host=None, **refused))
    assert watched.samples("vertex_tap_calls_total") == {
        "team-a gemini-2.5-flash streamGenerateContent prod done 2xx": 2,
        "  streamGenerateContent  refused 4xx": 1,
    }
    assert watched.samples("vertex_tap_rows_total") == {
        "committed": 2,
        "spilled": 1,
        "waiting": 0,
        "rejected": 0,
        "lost": 0,
    }
    assert watched.samples("vertex_tap_usage_total") == {
        "final": 2,
        "partial": 0,
        "absent": 0,
        "unsupported": 0,
        "not_applicable": 1,
    }
    assert watched.samples("vertex_tap_cost_usd_total") == {"": 0.5}
    about = "generate_content gcp.vertex_ai gemini-2.5-flash gemini-2.5-flash-001"
    assert watched.samples("gen_ai_client_inference_usage_input_tokens_total") == {
        f"{about} text": 120,
        f"{about} image": 80,
    }
    assert watched.samples("gen_ai_client_token_usage_sum") == {f"{about} input": 200, f"{about} output": 60}
    assert watched.samples("gen_ai_client_operation_duration_sum")[f" {about}"] == 5


def test_what_comes_later_adds_the_difference() -> None:
    """A video that is done, or an answer that was made in the background."""
    watched = Watched(cost_of=lambda one: (one.output_tokens or 0) / 10)
    begun = call(usage_state="absent", input_tokens=None, output_tokens=None, output_by_modality=None)
    begun.output_thought_tokens = begun.input_cached_tokens = None
    watched.end(begun)
    done = call(output_by_modality=None)
    watched.metrics.completed(begun, done)
    watched.metrics.completed(done, done)
    assert set(watched.samples("vertex_tap_calls_total").values()) == {1}
    assert watched.samples("vertex_tap_usage_total")["absent"] == 1
    assert watched.samples("vertex_tap_usage_total")["final"] == 1
    assert set(watched.samples("gen_ai_client_inference_usage_output_tokens_total").values()) == {30}
    assert set(watched.samples("gen_ai_client_operation_duration_count").values()) == {1}
    assert watched.samples("vertex_tap_cost_usd_total") == {"": 3}


class TestLabels:
    """Clients cannot make up any number of values."""

    def test_those_of_calls_that_fail_take_half_the_room(self) -> None:
        watched = Watched()
        for number in range(2 * MOST_VALUES):
            watched.end(call(model=f"bad{number}", status=404, usage_state="not_applicable"))
        for number in range(2 * MOST_VALUES):
            watched.end(call(model=f"good{number}"))
        found = watched.samples("vertex_tap_calls_total")
        models = {labels.split()[0] for labels in found}
        assert {name[:3] for name in models} == {"bad", "goo", "oth"}
        assert sum(name.startswith("bad") for name in models) == MOST_VALUES // 2
        assert sum(name.startswith("good") for name in models) == MOST_VALUES // 2
        assert sum(found.values()) == 4 * MOST_VALUES

    def test_long_ones(self) -> None:
        watched = Watched()
        watched.end(call(operation="x" * (LONGEST_VALUE + 1)))
        (labels,) = watched.samples("vertex_tap_calls_total")
        assert labels == " gemini-2.5-flash other  done 2xx"

    def test_combinations(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "MOST_SERIES", 100)
        watched = Watched()
        side = 20
        for model in range(side):
            for client in range(side):
                watched.end(call(model=f"m{model}", client=f"c{client}"))
        found = watched.samples("vertex_tap_calls_total")
        assert len(found) == 100 + 1
        assert found["other other other other other other"] == side * side - 100

    def test_any_text(self) -> None:
        watched = Watched()
        watched.end(call(client='a"b\\c\nd'))
        (labels,) = watched.samples("vertex_tap_calls_total")
        assert labels.startswith('a"b\\c\nd gemini')


class TestFormat:
    @pytest.fixture
    def watched(self) -> Watched:
        watched = Watched()
        watched.end(call(service="prod"))
        watched.end(call(status=429, error_type="RESOURCE_EXHAUSTED", usage_state="not_applicable"))
        watched.metrics.wrote(0.002)
        return watched

    def test_promtool_accepts_it(self, watched: Watched) -> None:
        assert check_metrics(watched.metrics.metrics_text("")[0]) == ""

    def test_openmetrics(self, watched: Watched) -> None:
        accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
        text, content_type = watched.metrics.metrics_text(accept)
        assert content_type.startswith("application/openmetrics-text; version=1.0.0")
        read: Any = openmetrics.text_string_to_metric_families
        families = {family.name: family for family in read(text.decode())}
        assert families["vertex_tap_calls"].type == "counter"
        assert families["gen_ai_client_token_usage"].type == "histogram"

    @pytest.mark.parametrize(
        "accept",
        ["", "*/*", "text/html", "text/plain;version=0.0.4", "application/openmetrics-text;version=x", "a=b;=;,"],
    )
    def test_plain_text(self, watched: Watched, accept: str) -> None:
        text, content_type = watched.metrics.metrics_text(accept)
        assert content_type == "text/plain; version=0.0.4; charset=utf-8"
        assert text.decode().startswith("# HELP vertex_tap_calls_total ")


def test_a_call_costs_little() -> None:
    """About 30 microseconds; the test allows for a slow machine."""
    watched = Watched()
    one = Exchange(call(), None, "", "", None, CONFIGURATION)
    began = time.process_time()
    for _ in range(2000):
        watched.metrics.wrote(0.001)
        watched.metrics.ended(one, Kept.COMMITTED, None)
    assert (time.process_time() - began) / 2000 < 0.001


class TestRecorded:
    """Of what a real recorder writes."""

    def test_a_call_from_its_beginning_to_its_end(self, tmp_path: Path) -> None:
        held = Held(tmp_path / "usage.db", answer())
        listening = Metrics(held.recorder)

        def said(name: str) -> Samples:
            return samples(listening.metrics_text("")[0].decode(), name)

        assert said("vertex_tap_calls_open") == {"": 1}
        assert said("vertex_tap_calls_total") == {}
        held.recorder.end_held(held.flow, None)
        # Whatever settles it again, it is counted once.
        held.recorder.settle(held.exchange, Ending.CUT)
        held.recorder.response(held.flow)
        held.recorder.close()
        assert said("vertex_tap_calls_open") == {"": 0}
        assert list(said("vertex_tap_calls_total").values()) == [1]
        assert said("vertex_tap_rows_total")["committed"] == 1
        assert said("vertex_tap_usage_total")["final"] == 1
        assert sum(said("gen_ai_client_token_usage_sum").values()) == 5
        assert said("vertex_tap_commit_seconds_count") == {"": 1}

    def test_a_poll(self, tmp_path: Path) -> None:
        held = Held(tmp_path / "usage.db", answer())
        listening, recorder = Metrics(held.recorder), held.recorder
        submitted = call(operation="predictLongRunning", response_id="op", usage_state="absent", input_tokens=None)
        submitted.output_tokens = submitted.input_cached_tokens = submitted.output_thought_tokens = None
        submitted.usage_raw, submitted.ended_at = {"durationSeconds": 8}, 1
        assert recorder._ledger
        recorder._ledger.commit(submitted)
        poll = Exchange(call(operation="fetchPredictOperation"), None, "", "", None, CONFIGURATION)
        poll.call.ended_at, poll.call.usage_state = 1, "not_applicable"
        recorder._write(poll, Settlement("op", videos=2))
        recorder.close()
        assert samples(listening.metrics_text("")[0].decode(), "vertex_tap_usage_total")["final"] == 1


class TestDashboard:
    """The Grafana dashboard in docs/ asks for metrics and labels that there are."""

    DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text())
    QUERIES: ClassVar = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    NAME = re.compile(r"\b(?:vertex_tap|gen_ai)_\w+")

    @pytest.fixture
    def known(self) -> dict[str, set[str]]:
        """Sample -> its labels."""
        watched = Watched()
        watched.end(call(service="prod", input_cache_write_tokens=1))
        watched.metrics.wrote(0.002)
        families = prometheus.text_string_to_metric_families(watched.text)
        return {sample.name: set(sample.labels) for family in families for sample in family.samples}

    def test_its_metrics(self, known: dict[str, set[str]]) -> None:
        labels = set().union(*known.values())
        for query in self.QUERIES:
            names = set(self.NAME.findall(query)) - labels
            assert names
            assert names <= known.keys(), query
            told = [*re.findall(r"by \(([^)]*)\)", query), *re.findall(r"(\w+)(?:!=|=~)", query)]
            asked = {name.strip() for part in told for name in part.split(",")}
            assert asked <= set().union(*(known[name] for name in names)), query
        for variable in self.DASHBOARD["templating"]["list"]:
            if variable["type"] == "query":
                metric, name = re.findall(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])[0]
                assert name in known[metric]

    def test_it_shows_all_of_ours(self, known: dict[str, set[str]]) -> None:
        asked = " ".join(self.QUERIES)
        previous = ("gen_ai_client_token_usage", "gen_ai_client_operation_duration")
        for name in known:
            family = re.sub("_(bucket|count|sum)$", "", name)
            assert family in asked or family in previous, name

    def test_promql(self, tmp_path: Path) -> None:
        known = {"$__rate_interval": "5m", "$__range": "1h", "$model": ".*"}
        queries = []
        for query in self.QUERIES:
            for variable, value in known.items():
                query = query.replace(variable, value)
            assert "$" not in query
            queries.append(query)
        check_queries(queries, tmp_path)

    def test_the_page(self, known: dict[str, set[str]]) -> None:
        """docs/metrics.md names each metric with its labels."""
        page = (ROOT / "docs" / "metrics.md").read_text()
        for name, labels in known.items():
            family = re.sub("_(bucket|count|sum)$", "", name)
            short = re.sub("^gen_ai_client_inference_usage", "...", family)
            assert f"`{family}`" in page or f"`{short}`" in page, name
            assert all(f"`{label}`" in page for label in labels - {"le"}), name
