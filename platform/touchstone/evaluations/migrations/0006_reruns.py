"""Many runs of one submission, made while the servers work: the version before still finds its one run."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

#: The index first, then the constraint goes: lookups by submission are never without one.
_INDEX = 'CREATE INDEX CONCURRENTLY IF NOT EXISTS "evaluations_run_submission_id_many" ON "evaluations_run" ("submission_id")'
_FREE = 'ALTER TABLE "evaluations_run" DROP CONSTRAINT IF EXISTS "evaluations_run_submission_id_key"'


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('competitions', '0004_access_and_teams'),
        ('evaluations', '0005_shares'),
        ('submissions', '0003_names_and_tombstones'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Rerun',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('reason', models.CharField(max_length=500)),
                ('what', models.CharField(blank=True, max_length=200)),
                ('waiting', models.JSONField(default=list)),
                ('total', models.PositiveIntegerField(default=0)),
                ('skipped', models.PositiveIntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('competition', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reruns', to='competitions.competition')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(condition=models.Q(('waiting', []), _negated=True), fields=['created_at'], name='rerun_waiting')],
            },
        ),
        migrations.AddField(
            model_name='run',
            name='competition_version',
            field=models.PositiveIntegerField(help_text='Of the competition when it last began.', null=True),
        ),
        migrations.AddField(
            model_name='run',
            name='metric_versions',
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='run',
                    name='submission',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='submissions.submission'),
                ),
                migrations.AddField(
                    model_name='run',
                    name='rerun',
                    field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to='evaluations.rerun'),
                ),
            ],
            database_operations=[
                migrations.RunSQL(_INDEX, migrations.RunSQL.noop),
                migrations.RunSQL(_FREE, migrations.RunSQL.noop),
                migrations.RunSQL(
                    'ALTER TABLE "evaluations_run" ADD COLUMN IF NOT EXISTS "rerun_id" uuid NULL '
                    'CONSTRAINT "evaluations_run_rerun_fk" REFERENCES "evaluations_rerun" ("id") '
                    'DEFERRABLE INITIALLY DEFERRED',
                    migrations.RunSQL.noop,
                ),
                migrations.RunSQL(
                    'CREATE INDEX CONCURRENTLY IF NOT EXISTS "evaluations_run_rerun_id_many" '
                    'ON "evaluations_run" ("rerun_id") WHERE "rerun_id" IS NOT NULL',
                    migrations.RunSQL.noop,
                ),
            ],
        ),
    ]
