from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0025_looking_at_tools")]

    operations = [
        migrations.AddField(
            model_name="outboundmessage",
            name="subject",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Of what is no request: revision/7, proposal/…",
                max_length=60,
            ),
        ),
    ]
