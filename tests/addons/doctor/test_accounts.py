import json
from pathlib import Path

import pytest

from addons.doctor.accounts import account_of
from addons.doctor.accounts import gets_tokens
from addons.doctor.accounts import is_workload
from addons.doctor.accounts import token_of
from addons.doctor.accounts import token_uri_of
from addons.tokens import TokenError
from tests.addons.doctor.conftest import SetupOf
from tests.vertex_simulator import Simulator


def test_the_credentials_of_services(setup_of: SetupOf, simulator: Simulator, home: Path, key_file: Path) -> None:
    setup = setup_of(yaml=f"services: {{a: {{auth: service_account, credentials: {key_file}}}, b: {{}}}}")
    a, b = setup.services["a"], setup.services["b"]
    assert (gets_tokens(a), gets_tokens(b)) == (True, False)
    assert (token_uri_of(a), token_uri_of(b)) == (simulator.token_uri, None)
    assert (account_of(a), account_of(b)) == (json.loads(key_file.read_text())["client_email"], None)
    assert not is_workload(a)
    assert token_of(a).startswith("ya29.")


def test_no_token(setup_of: SetupOf, simulator: Simulator, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = setup_of(vertex_auth="service_account", vertex_credentials=key_file)
    monkeypatch.setattr(simulator.credentials, "refusal", (400, b"{}"))
    with pytest.raises(TokenError):
        token_of(setup.services["default"])
