from django.db import migrations

from sessions import erasing


def create(apps, schema_editor):
    erasing.create(schema_editor.connection)


def drop(apps, schema_editor):
    erasing.drop(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('mcp_sessions', '0002_pages_of_long_sessions'),
    ]

    operations = [
        migrations.RunPython(create, drop),
    ]
