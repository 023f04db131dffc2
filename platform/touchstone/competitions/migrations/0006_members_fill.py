"""Who joined before there were teams is the one member of their participation. In batches, each committed.

Whoever joins through a server of the version before, while this runs, gets their row when they press Join again.
"""

from django.db import migrations

BATCH = 2000

FILL = """
WITH part AS (
  SELECT id, competition_id, user_id, joined_at FROM competitions_participation
  WHERE id > %s ORDER BY id LIMIT %s
), made AS (
  INSERT INTO competitions_member (participation_id, competition_id, user_id, joined_at)
  SELECT id, competition_id, user_id, joined_at FROM part
  ON CONFLICT (competition_id, user_id) DO NOTHING
)
SELECT max(id) FROM part
"""


def fill(apps, schema_editor):
    """Rows that are there stay as they are, so it may be repeated."""
    with schema_editor.connection.cursor() as cursor:
        last = 0
        while last is not None:
            cursor.execute(FILL, [last, BATCH])
            (last,) = cursor.fetchone()


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('competitions', '0005_member_left_at'),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
