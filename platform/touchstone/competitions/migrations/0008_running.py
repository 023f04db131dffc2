"""What organisers run a competition with: columns that need no rewrite of a table, and an index of a small one."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('competitions', '0007_checks'),
    ]

    operations = [
        migrations.AddField(
            model_name='phase',
            name='frozen_reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=500),
        ),
        migrations.AddField(
            model_name='phase',
            name='published_at',
            field=models.DateTimeField(help_text='Since when the ranking of a phase of finalists is shown.', null=True),
        ),
        migrations.AddField(
            model_name='member',
            name='news_read_at',
            field=models.DateTimeField(help_text='When they last looked at the announcements.', null=True),
        ),
        migrations.AddField(
            model_name='announcement',
            name='audience',
            field=models.CharField(choices=[('everybody', 'Everybody'), ('participants', 'Participants')], db_default=models.Value('everybody'), default='everybody', max_length=12),
        ),
        migrations.AddField(
            model_name='announcement',
            name='mail_wanted',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='announcement',
            name='mail_from',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='announcement',
            name='mailed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='announcement',
            index=models.Index(condition=models.Q(('mail_wanted', True), ('mailed_at', None)), fields=['created_at'], name='announcement_unmailed'),
        ),
    ]
