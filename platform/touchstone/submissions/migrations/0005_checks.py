from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('submissions', '0004_submission_run'),
    ]

    operations = [
        migrations.AddField(
            model_name='submission',
            name='is_check',
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
