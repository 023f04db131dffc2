"""What the claim reads of runs that are there already. In batches, each committed: nobody waits for the whole."""

from django.db import migrations

BATCH = 1000

#: The specification as it is stored has memory in bytes.
FILL = """
UPDATE evaluations_run AS run
SET kind = submission.kind,
    lane = CASE WHEN submission.kind = 'predictions' THEN 0 ELSE 1 END,
    queue = CASE WHEN submission.kind = 'predictions' THEN 'cpu' ELSE run.queue END,
    share = participation.user_id,
    priority = phase.priority,
    cpus = CASE WHEN submission.kind = 'predictions' THEN 0 ELSE COALESCE((needs ->> 'cpus')::float, 0) END,
    memory = CASE WHEN submission.kind = 'predictions' THEN 0 ELSE COALESCE((needs ->> 'memory')::bigint, 0) END,
    gpus = CASE WHEN submission.kind = 'predictions' THEN 0 ELSE COALESCE((needs ->> 'gpus')::smallint, 0) END
FROM submissions_submission AS submission
JOIN competitions_participation AS participation ON participation.id = submission.participation_id
JOIN competitions_phase AS phase ON phase.id = submission.phase_id
JOIN competitions_competition AS competition ON competition.id = phase.competition_id
CROSS JOIN LATERAL (SELECT competition.spec #> '{submission,resources}' AS needs) AS asked
WHERE submission.id = run.submission_id AND run.id = ANY(%s)
"""
_OPEN = "('received', 'checking', 'queued', 'running')"


def fill(apps, schema_editor):
    """Open runs first: they are what a claim may read next."""
    with schema_editor.connection.cursor() as cursor:
        for which in (f"status IN {_OPEN}", "true"):
            while True:
                cursor.execute(f"SELECT id FROM evaluations_run WHERE kind = '' AND {which} LIMIT {BATCH}")
                keys = [row[0] for row in cursor.fetchall()]
                if not keys:
                    break
                cursor.execute(FILL, [keys])


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('evaluations', '0002_nodes_queues_logs'),
        ('competitions', '0002_phase_logs_and_priority'),
        ('submissions', '0001_initial'),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
