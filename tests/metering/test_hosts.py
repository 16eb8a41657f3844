import pytest

from metering.hosts import GEMINI_HOST
from metering.hosts import api_of
from metering.hosts import is_by_location
from metering.hosts import is_door
from metering.hosts import vertex_host
from metering.templates import Api


@pytest.mark.parametrize(
    ("location", "host"),
    [
        (None, "aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_vertex_host(location: str | None, host: str) -> None:
    assert vertex_host(location) == host
    assert api_of(host) == "vertex"


@pytest.mark.parametrize("location", ["evil.com#", "us-central1.evil", "a/b", "", "-x", "US", "x" * 60, "us\n"])
def test_no_location(location: str) -> None:
    with pytest.raises(ValueError, match="not a Google Cloud location"):
        vertex_host(location)


VERTEX = [
    # cloud.google.com/vertex-ai/docs/general/locations, and the `endpoints` of the discovery document
    "aiplatform.googleapis.com",
    "US-CENTRAL1-aiplatform.googleapis.com.",
    "northamerica-northeast1-aiplatform.googleapis.com",
    "aiplatform.eu.rep.googleapis.com",
    "aiplatform.us.rep.googleapis.com",
    "aiplatform-preprod.us.rep.googleapis.com",
    "aiplatform.us-central1.rep.googleapis.com",
    "aiplatform.us-central1.p.rep.googleapis.com",
    # cloud.google.com/vertex-ai/docs/general/googleapi-access-methods, and the tutorial of Private Service Connect
    "aiplatform-genai1.p.googleapis.com",
    "us-central1-aiplatform-pscvertex.p.googleapis.com",
    # with a certificate of the client
    "aiplatform.mtls.googleapis.com",
    "us-east1-aiplatform.mtls.googleapis.com",
    "aiplatform.eu.rep.mtls.googleapis.com",
    # Google's own
    "us-central1-autopush-aiplatform.sandbox.googleapis.com",
    "staging-aiplatform.sandbox.googleapis.com",
    "aiplatform.mtls.sandbox.googleapis.com",
    "aiplatform.us.rep.sandbox.googleapis.com",
    # endpoints with a host of their own
    "123.us-central1-456.prediction.vertexai.goog",
    "mg-endpoint-d6a4.europe-west1-779.prediction.vertexai.goog",
    "7.us-central1-fasttryout.prediction.vertexai.goog",
    "123.us-central1-456.prediction.p.vertexai.goog",
    "1234567890.aiplatform.googleapis.com",
]
GEMINI = [
    GEMINI_HOST,
    "generativelanguage.mtls.googleapis.com",
    "generativelanguage.eu.rep.googleapis.com",
    "generativelanguage.us-east1.p.rep.googleapis.com",
    "generativelanguage-genai1.p.googleapis.com",
    "staging-generativelanguage.sandbox.googleapis.com",
    "generativelanguage.mtls.sandbox.googleapis.com",
]
OPENAI = [
    f"{prefix}api.openai.com" for prefix in ("", "us.", "eu.", "au.", "ca.", "jp.", "in.", "sg.", "kr.", "gb.", "ae.")
]
ANTHROPIC = ["api.anthropic.com", "API.anthropic.com."]
OTHER = [
    "console.anthropic.com",
    "api.anthropic.com.evil.com",
    "evilapi.anthropic.com",
    "",
    "example.com",
    "oauth2.googleapis.com",
    "storage-genai1.p.googleapis.com",
    "storage.us-east1.rep.googleapis.com",
    "private.googleapis.com",
    # look-alikes
    "aiplatform.googleapis.com.evil.com",
    "evil-aiplatform.googleapis.com.example",
    "aiplatform-genai1.p.googleapis.com.evil.com",
    "aiplatform.p.googleapis.com.evil.com",
    "aiplatform-genai1-p.googleapis.com",
    "aiplatform-gen.ai1.p.googleapis.com",
    "aiplatform-1genai.p.googleapis.com",
    "aiplatform-abcdefghijklmnopqrstu.p.googleapis.com",
    "aiplatform.p.googleapis.com",
    "aiplatform-genai1xp.googleapis.com",
    "xaiplatform.googleapis.com",
    "evilaiplatform.googleapis.com",
    "contactcenteraiplatform.googleapis.com",
    "aiplatform.googleapis.comx",
    "aiplatform.googleapis.co",
    "aiplatformxgoogleapis.com",
    "aiplatform.evil.googleapis.com",
    "aiplatform-googleapis.com",
    "aiplatform.us.rep.googleapis.com.evil.com",
    "x.aiplatform.googleapis.com",
    "prediction.vertexai.goog",
    "evilprediction.vertexai.goog",
    "7.prediction.vertexai.goog.evil.com",
    "7.us-central1.vdb.vertexai.goog",
    "generativelanguage.googleapis.com.evil.com",
    "xgenerativelanguage.googleapis.com",
    "x-generativelanguage.googleapis.com",
    "api.openai.com.evil.com",
    "evilapi.openai.com",
    "evil.api.openai.com",
    "x.eu.api.openai.com",
    "openai.com",
    # Azure's
    "my-resource.openai.azure.com",
    "my-resource.services.ai.azure.com",
    "aiplatform.googleapis.com\n",
    "aiplatform.googleapis.com..",
]


APIS: dict[str, Api | None] = {
    **dict.fromkeys(VERTEX, "vertex"),
    **dict.fromkeys(GEMINI, "gemini"),
    **dict.fromkeys(OPENAI, "openai"),
    **dict.fromkeys(ANTHROPIC, "anthropic"),
    **dict.fromkeys(OTHER),
}


def test_api_of() -> None:
    assert {host: api_of(host) for host in APIS} == APIS


def test_hosts_of_locations() -> None:
    """All others are the only way there is from where their user is."""
    assert {host for host in APIS if is_by_location(host)} == {*VERTEX[:5], GEMINI_HOST}


def test_doors() -> None:
    doors = {
        "private.googleapis.com": True,
        "Restricted.googleapis.com.": True,
        "aiplatform.googleapis.com": False,
        "private.googleapis.com.evil.com": False,
        "xprivate.googleapis.com": False,
    }
    assert {host: is_door(host) for host in doors} == doors
