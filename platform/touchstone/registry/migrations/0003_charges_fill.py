from django.db import migrations


def fill(apps, schema_editor):
    """What is there already: by what manifests said, for nothing else was noted."""
    image, blob, namespace = (apps.get_model("registry", name) for name in ("PushedImage", "PushedBlob", "Namespace"))
    for row in image.objects.select_related("participation").order_by("pk").iterator():
        name = row.repository.split("/")[1]
        if not name.startswith("user__"):
            namespace.objects.get_or_create(name=name, defaults={"user_id": row.participation.user_id})
        for digest, size in row.blobs.items():
            blob.objects.get_or_create(
                participation_id=row.participation_id, digest=digest, defaults={"size": max(0, int(size))}
            )


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0002_charges'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
