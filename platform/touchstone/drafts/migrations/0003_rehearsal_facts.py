from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('drafts', '0002_datainspection'),
    ]

    operations = [
        migrations.AddField(
            model_name='rehearsal',
            name='facts',
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
    ]
