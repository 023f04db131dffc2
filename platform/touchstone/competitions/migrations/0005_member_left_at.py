from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('competitions', '0004_access_and_teams'),
    ]

    operations = [
        migrations.AddField(
            model_name='member',
            name='left_at',
            field=models.DateTimeField(null=True),
        ),
    ]
