"""A submission points at the run that counts. Without a rewrite or a long lock: the servers work meanwhile."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

BATCH = 1000


def fill(apps, schema_editor):
    """In batches, each committed. What the version before takes in meanwhile, the sweeper fills."""
    with schema_editor.connection.cursor() as cursor:
        last = '00000000-0000-0000-0000-000000000000'
        while True:
            cursor.execute(
                'SELECT id FROM submissions_submission WHERE id > %s ORDER BY id LIMIT %s', [last, BATCH]
            )
            keys = [row[0] for row in cursor.fetchall()]
            if not keys:
                return
            cursor.execute(
                'UPDATE submissions_submission AS s SET run_id = r.id FROM evaluations_run AS r '
                'WHERE r.submission_id = s.id AND s.run_id IS NULL AND s.id = ANY(%s)',
                [keys],
            )
            last = keys[-1]


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('submissions', '0003_names_and_tombstones'),
        ('evaluations', '0006_reruns'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    model_name='submission',
                    name='run',
                    field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='current_of', to='evaluations.run'),
                ),
            ],
            database_operations=[
                migrations.RunSQL(
                    'ALTER TABLE "submissions_submission" ADD COLUMN IF NOT EXISTS "run_id" uuid NULL '
                    'CONSTRAINT "submissions_submission_run_fk" REFERENCES "evaluations_run" ("id") '
                    'DEFERRABLE INITIALLY DEFERRED',
                    migrations.RunSQL.noop,
                ),
                migrations.RunSQL(
                    'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "submissions_submission_run_id_key" '
                    'ON "submissions_submission" ("run_id")',
                    migrations.RunSQL.noop,
                ),
            ],
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        AddIndexConcurrently(
            model_name='submission',
            index=models.Index(condition=models.Q(('run', None)), fields=['created_at'], name='submission_no_run'),
        ),
    ]
