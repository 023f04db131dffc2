"""What fair queueing counts: a column that needs no rewrite of the table, and a small table of its own."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('evaluations', '0004_queues_indexes'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='charge',
            field=models.FloatField(db_default=0, default=0, help_text='Seconds that it counts for in its share.'),
        ),
        migrations.CreateModel(
            name='QueueTurn',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('queue', models.CharField(max_length=20)),
                ('lane', models.PositiveSmallIntegerField(choices=[(0, 'Quick'), (1, 'Long')])),
                ('priority', models.SmallIntegerField()),
                ('share', models.BigIntegerField()),
                ('at', models.FloatField(help_text='Seconds of service.', null=True)),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('queue', 'lane', 'priority', 'share'), name='queue_turn_unique'),
                ],
            },
        ),
    ]
