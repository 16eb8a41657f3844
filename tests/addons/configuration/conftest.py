import pytest

from tests.vertex_simulator import Credentials


@pytest.fixture
def info() -> dict[str, str]:
    """What stands in the key file of a service account."""
    return Credentials().service_account("https://oauth2.googleapis.com/token")
