"""What `vertex-tap doctor` prints: lines for people, or JSON."""

import logging
import sys
from collections.abc import Iterable
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from addons.doctor.checks import examine
from addons.doctor.finding import Finding
from metering import output

WIDEST = 100
"""Lines that are longer are hard to read."""
OFFLINE = "Checks this set-up. Of the network it asks for names, connections and TLS only."
ONLINE = "Checks this set-up. Each service is asked to count the tokens of one word."
SIGNS = {"ok": "green", "advice": "yellow", "FAILED": "bold red"}
"""What stands before a finding, and its style."""
SIGN = 8
INDENT = 25
"""The columns before the name of a check, and those before what it has found."""


def doctor(set_options: Sequence[str], form: str, *, is_online: bool) -> int:
    """Make all checks, and print what they find. Returns the exit status: 1 if one has failed."""
    # Findings tell what libraries log. Otherwise Python would print it.
    logging.getLogger().addHandler(logging.NullHandler())
    findings = examine(set_options, is_online=is_online)
    if form == "json":
        found = [*findings]
        output.write_json([finding._asdict() for finding in found], sys.stdout)
    else:
        found = print_lines(findings, ONLINE if is_online else OFFLINE)
    return 0 if all(finding.ok for finding in found) else 1


def print_lines(findings: Iterable[Finding], what: str) -> list[Finding]:
    """Print findings for people, each as it comes. Returns them."""
    console = Console(highlight=False, soft_wrap=True)
    # What goes to a file or to another program is searched: lines are not broken there.
    room = min(console.width, WIDEST) - INDENT if console.is_terminal else None
    console.print(Text(what + "\n"))
    found = []
    for finding in findings:
        found.append(finding)
        _print(console, finding, room)
    failed = sum(not finding.ok for finding in found)
    console.print(Text(f"\nFaults: {failed}." if failed else "\nNo fault was found.", "bold"))
    return found


def _print(console: Console, finding: Finding, room: int | None) -> None:
    sign = "FAILED" if not finding.ok else "advice" if finding.remedy else "ok"
    texts = [Text(finding.message)] + ([Text(f"-> {finding.remedy}", "bold")] if finding.remedy else [])
    lines = [line for text in texts for line in (text.wrap(console, room) if room else [text])]
    start = Text.assemble((f"{sign:{SIGN}}", SIGNS[sign]), f"{finding.check:{INDENT - SIGN}}")
    for number, line in enumerate(lines):
        line.rstrip()
        console.print((Text(" " * INDENT) if number else start).append_text(line))
