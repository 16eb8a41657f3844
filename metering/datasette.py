"""Metadata with which Datasette shows a ledger: titles, units, descriptions, queries, and a dashboard for its plugin
datasette-dashboards. The texts are in `datasette.yaml`.

Format of 0.65: docs.datasette.io/en/stable/metadata.html. Datasette 1.0 has queries and plugins in another file
(docs.datasette.io/en/latest/configuration.html).
"""

from pathlib import Path
from typing import Any

import yaml

from metering.database import LedgerError
from metering.database import open_for_reading
from metering.older import VERSION

TEMPLATE = Path(__file__).with_suffix(".yaml")
PLACE = "LEDGER"
"""Stands for the name of the database in the template."""


def metadata(ledger: Path) -> dict[str, Any]:
    """What `datasette LEDGER -m FILE` takes, of Datasette 0.65. Raises LedgerError if the ledger lacks the views."""
    _check(ledger)
    told: dict[str, Any] = _named(yaml.safe_load(TEMPLATE.read_text()), ledger.stem)
    return told


def configuration(ledger: Path) -> dict[str, Any]:
    """What `datasette LEDGER --config FILE` takes, of Datasette 1.0: queries and plugins. Raises LedgerError."""
    told = metadata(ledger)
    databases = {name: {"queries": database["queries"]} for name, database in told["databases"].items()}
    return {"databases": databases, "plugins": told["plugins"]}


def written(told: dict[str, Any]) -> str:
    """As YAML that people can edit."""
    text: str = yaml.dump(told, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def _check(ledger: Path) -> None:
    db = open_for_reading(ledger)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    if version < VERSION:
        raise LedgerError(
            f"{ledger} was written by an older vertex-tap, and lacks the views that Datasette shows; start the proxy"
            " with it once"
        )


def _named(part: Any, name: str) -> Any:
    """A part of the template, with the name of the database."""
    if isinstance(part, dict):
        return {name if key == PLACE else key: _named(value, name) for key, value in part.items()}
    if isinstance(part, list):
        return [_named(one, name) for one in part]
    return name if part == PLACE else part


class _Dumper(yaml.SafeDumper):
    """Writes SQL in lines, and everything twice that occurs twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
