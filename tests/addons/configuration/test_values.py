import pytest

from addons.configuration import values


@pytest.mark.parametrize("text", ["my-project-123", "example.com:my-project", "1234567890", "a-b"])
def test_projects(text: str) -> None:
    assert values.project(text) == text


@pytest.mark.parametrize("text", ["a/b", "a?b", "a#b", "../x", "A", "", "p%2f", "evil.com", "a b"])
def test_no_projects(text: str) -> None:
    with pytest.raises(ValueError, match="id of a Google Cloud project"):
        values.project(text)


@pytest.mark.parametrize("text", ["evil.com#", "us/../x", "", "US", "us-central1.evil"])
def test_no_locations(text: str) -> None:
    with pytest.raises(ValueError, match="write a location of Vertex AI"):
        values.location(text)
