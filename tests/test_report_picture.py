import html
import re
from pathlib import Path

from tests.report_picture import PICTURE
from tests.report_picture import drawn
from tests.week import week


def test_readme_shows_the_present_output(tmp_path: Path) -> None:
    """If it does not: python -m tests.report_picture."""
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", PICTURE.read_text())
    shown = "".join(html.unescape("".join(texts)).split())
    for line in drawn(week(tmp_path / "usage.db")).export_text().splitlines():
        assert "".join(line.split()) in shown, line
