import pytest

from addons.error_pages import STATUS_WORDS
from addons.error_pages import error_response


@pytest.mark.parametrize("status", STATUS_WORDS)
def test_one_body_that_every_sdk_reads(status: int) -> None:
    response = error_response(status, "What to do.")
    google, openai = STATUS_WORDS[status]
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"error": {"code": status, "message": "What to do.", "status": google, "type": openai}}
