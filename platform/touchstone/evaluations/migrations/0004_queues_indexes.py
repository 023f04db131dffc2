"""The indexes of the queue, made while the servers work."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('evaluations', '0003_queues_fill'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='run',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['queue', 'lane', '-priority', 'turn', 'queued_at', 'id'], name='run_claim'),
        ),
        AddIndexConcurrently(
            model_name='run',
            index=models.Index(condition=models.Q(('started_at__isnull', False)), fields=['queue', 'lane', 'priority', 'turn'], name='run_turns'),
        ),
        AddIndexConcurrently(
            model_name='run',
            index=models.Index(fields=['share', 'queue', 'lane', 'priority', 'turn'], name='run_share'),
        ),
        AddIndexConcurrently(
            model_name='run',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['node'], name='run_on_node'),
        ),
        RemoveIndexConcurrently(
            model_name='run',
            name='run_queue',
        ),
    ]
