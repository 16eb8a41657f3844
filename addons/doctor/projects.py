"""The Google Cloud project and the location of each service."""

import difflib
from collections.abc import Iterator

from addons.configuration.services import Service
from addons.doctor.accounts import gets_tokens
from addons.doctor.accounts import is_workload
from addons.doctor.finding import Finding
from addons.doctor.options import problems_of
from addons.doctor.setup import Setup

PROJECT = "project"
LOCATION = "location"
LOCATIONS = (
    "global us eu africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1"
    " asia-south2 asia-southeast1 asia-southeast2 asia-southeast3 australia-southeast1 australia-southeast2"
    " europe-central2 europe-north1 europe-north2 europe-southwest1 europe-west1 europe-west10 europe-west12"
    " europe-west15 europe-west2 europe-west3 europe-west4 europe-west6 europe-west8 europe-west9 me-central1"
    " me-central2 me-west1 northamerica-northeast1 northamerica-northeast2 southamerica-east1 southamerica-west1"
    " us-central1 us-central2 us-east1 us-east4 us-east5 us-east7 us-south1 us-west1 us-west2 us-west3 us-west4"
    " us-west8"
).split()
"""The locations of Vertex AI. `endpoints` of its discovery document has the regions."""
LEAST_LIKENESS = 0.6
"""How like a location a name has to be to be taken for a mistyped one."""


def of_vertex(setup: Setup) -> list[Service]:
    """The services that are projects of Vertex AI."""
    return [service for service in setup.services.values() if service.provider == "vertex"]


def option_of(setup: Setup, service: Service, name: str) -> str:
    """What a user writes to change the project or the location of a service."""
    if service.name in setup.in_file:
        return f"{name} of the service {service.name} in {setup.given['gateway_config']}"
    return f"vertex_{name}"


def project(setup: Setup) -> Iterator[Finding]:
    """Whether the project is known wherever the proxy has to name one."""
    problems = [*problems_of(setup, PROJECT)]
    yield from problems
    for service in of_vertex(setup):
        if service.project:
            yield Finding(PROJECT, True, f"{service.name}: {service.project}")
        elif is_workload(service) and not setup.is_online:
            told = f"{service.name}: none is set, and Google was not asked for that of workload identity"
            yield Finding(PROJECT, True, told, f"ask with --online, or set {option_of(setup, service, PROJECT)}")
        elif gets_tokens(service):
            told = f"{service.name}: its credentials name no project, and none is set"
            yield Finding(PROJECT, False, told, f"set {option_of(setup, service, PROJECT)}")
        elif service.name in setup.incomplete:
            if not problems:
                yield Finding(PROJECT, True, f"{service.name}: not known without its credentials")
        elif service.auth == "passthrough" and service.openai != "observe" and not problems:
            told = f"{service.name}: calls of OpenAI's clients cannot be answered, as no project is set"
            is_asked_for = setup.given["openai_mode"] != "observe"
            yield Finding(PROJECT, not is_asked_for, told, f"set {option_of(setup, service, PROJECT)}")
        elif not problems:
            yield Finding(PROJECT, True, f"{service.name}: none is needed")


def location(setup: Setup) -> Iterator[Finding]:
    """Whether each service is at a location that Vertex AI is known to have."""
    problems = [*problems_of(setup, LOCATION)]
    yield from problems
    for service in of_vertex(setup):
        if service.location in LOCATIONS:
            if not problems:
                yield Finding(LOCATION, True, f"{service.name}: {service.location}")
            continue
        near = _nearest(service.location)
        write = f"write {near}" if near else "write global, us, eu or the name of a region such as us-central1"
        told = f"{service.name}: Vertex AI is not known to have a location {service.location}"
        yield Finding(LOCATION, False, told, f"{write} in {option_of(setup, service, LOCATION)}")


def _nearest(name: str) -> str | None:
    """The location that a user may have meant; of several, the first, which is usually the oldest and largest."""
    likeness = {one: difflib.SequenceMatcher(None, one, name).ratio() for one in LOCATIONS}
    best = max(likeness, key=lambda one: likeness[one])
    return best if likeness[best] >= LEAST_LIKENESS else None
