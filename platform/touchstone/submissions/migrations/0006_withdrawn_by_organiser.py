"""Whether an organiser withdrew a submission: a column that needs no rewrite of the table."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('submissions', '0005_checks'),
    ]

    operations = [
        migrations.AddField(
            model_name='submission',
            name='withdrawn_by_organiser',
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
