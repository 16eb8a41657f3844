"""More of it is tested with real answers, in test_online.py."""

import pytest

from addons.configuration.services import Service
from addons.doctor.answers import NEW_CREDENTIALS
from addons.doctor.answers import SEE_ABOVE
from addons.doctor.answers import of_count
from addons.doctor.answers import of_list
from addons.doctor.answers import of_token_error
from tests.addons.doctor.conftest import SetupOf

SERVICE = Service("prod", auth="service_account", project="my-project", location="eu")


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("invalid_grant: Invalid JWT Signature.", NEW_CREDENTIALS),
        (
            "Account has been disabled",
            "see in IAM whether the service account is still there and enabled",
        ),
        ("Google's token endpoint gives no access token now; the proxy will ask it again.", SEE_ABOVE),
        (
            "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe.",
            "set the clock of this machine: Google refuses what is signed too early or too late",
        ),
    ],
)
def test_no_token(reason: str, remedy: str) -> None:
    found = of_token_error(SERVICE, reason)
    assert found == ("token", False, f"prod: {reason.rstrip('.')}", remedy)


@pytest.mark.parametrize(
    ("status", "check", "ok"),
    [*((status, "role", status == 429) for status in (400, 401, 403, 429, 500)), (404, "model", False)],
)
def test_each_refusal_names_a_remedy(setup_of: SetupOf, status: int, check: str, ok: bool) -> None:
    (found,) = of_count(setup_of(), SERVICE, "gemini-9", status, "reason", is_named=True)
    assert (found.check, found.ok) == (check, ok)
    assert found.remedy
    assert "reason" in found.message


def test_of_users_and_keys(setup_of: SetupOf) -> None:
    (found,) = of_count(setup_of(), SERVICE, "gemini-9", 403, "denied", is_named=True)
    assert "--member=user:YOU" in found.remedy
    express = Service("prod", auth="express", api_key="AIza")
    for status in (400, 401, 403):
        (found,) = of_count(setup_of(), express, "gemini-9", status, "denied", is_named=True)
        assert found.remedy == "copy the API key again, and see that its restrictions allow the Vertex AI API"


def test_other_apis() -> None:
    assert [of_list(SERVICE, "h", "/p", status).ok for status in (200, 401, 403, 404, 500)] == [
        *(True, False, False, True, False)
    ]
