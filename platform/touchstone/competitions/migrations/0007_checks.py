from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('competitions', '0006_members_fill'),
    ]

    operations = [
        migrations.AddField(
            model_name='competition',
            name='image',
            field=models.CharField(blank=True, db_default='', default='', help_text='sha256 of a picture in storage.', max_length=64),
        ),
        migrations.AddField(
            model_name='participation',
            name='is_check',
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
