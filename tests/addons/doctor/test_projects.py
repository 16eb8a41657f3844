from pathlib import Path

import pytest

from addons.doctor.projects import LOCATIONS
from addons.doctor.projects import location
from addons.doctor.projects import project
from tests.addons.doctor.conftest import SetupOf
from tests.addons.doctor.conftest import fault
from tests.addons.doctor.conftest import faults
from tests.configuration import write_key
from tests.metering.discovery import document
from tests.vertex_simulator import Simulator


def test_the_locations_are_googles() -> None:
    regions = {endpoint["location"] for endpoint in document("v1")["endpoints"]}
    assert {*LOCATIONS} == regions | {"global", "us", "eu"}


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("us-centrall1", "write us-central1 in vertex_location"),
        ("us-centrall", "write us-central1 in vertex_location"),
        ("europe-west", "write europe-west1 in vertex_location"),
        ("mars", "write global, us, eu or the name of a region such as us-central1 in vertex_location"),
        ("US Central", "write a location of Vertex AI, such as global or us-central1"),
    ],
)
def test_an_unknown_location(setup_of: SetupOf, text: str, remedy: str) -> None:
    found = fault(location(setup_of("openai_mode=convert", "vertex_project=my-project", vertex_location=text)))
    assert (found.check, found.remedy) == ("location", remedy)


def test_the_location_of_a_service(setup_of: SetupOf) -> None:
    found = fault(location(setup_of(yaml="services: {prod: {location: europe-wset4}}")))
    assert found.remedy == "write europe-west4 in location of the service prod in gateway.yaml"
    found = fault(location(setup_of(yaml="services: {prod: {location: 'Europe'}}")))
    assert "services.prod.location" in found.message
    assert faults(location(setup_of(vertex_location="eu", openai_mode="convert", vertex_project="a1"))) == []


def test_no_project(setup_of: SetupOf, simulator: Simulator, home: Path) -> None:
    key = simulator.credentials.service_account(simulator.token_uri)
    del key["project_id"]
    write_key(home, key)
    found = fault(project(setup_of(vertex_auth="service_account", vertex_credentials="key.json")))
    assert (found.check, found.remedy) == ("project", "set vertex_project")
    found = fault(project(setup_of(yaml="services: {prod: {auth: service_account, credentials: key.json}}")))
    assert found.remedy == "set project of the service prod in gateway.yaml"
    found = fault(project(setup_of(openai_mode="convert")))
    assert found.remedy == "set vertex_project"
    set_one = {"vertex_auth": "service_account", "vertex_credentials": "key.json", "vertex_project": "my-project"}
    assert [one.message for one in project(setup_of(**set_one))] == ["default: my-project"]


def test_not_the_id_of_a_project(setup_of: SetupOf) -> None:
    found = fault(project(setup_of(openai_mode="convert", vertex_project="My Project")))
    assert found.remedy == "write the id of a Google Cloud project, such as my-project-123"


def test_none_is_needed(setup_of: SetupOf) -> None:
    assert [(one.ok, one.message) for one in project(setup_of())] == [(True, "default: none is needed")]
    # A service of the file may be for clients of Google's only.
    assert faults(project(setup_of(yaml="services: {prod: {provider: vertex}}"))) == []
