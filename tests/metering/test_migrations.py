from sqlite_utils import Database

from metering.call import COLUMNS
from metering.migrations import VERSION
from metering.migrations import migrations


def test_the_schema_is_the_record() -> None:
    db = Database(memory=True)
    migrations.apply(db)
    assert tuple(column.name for column in db["calls"].columns) == COLUMNS
    assert db.table("calls").strict
    assert len(migrations.applied(db)) == VERSION
    db.close()


def test_secrets_differ() -> None:
    secrets = set()
    for _ in range(2):
        db = Database(memory=True)
        migrations.apply(db)
        secrets.add(db.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0])
        db.close()
    assert len(secrets) == 2
