from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("submissions", "0006_withdrawn_by_organiser")]

    operations = [
        migrations.AddField(
            model_name="upload",
            name="multipart",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
    ]
