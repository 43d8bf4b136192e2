from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0024_sealed_arguments")]

    operations = [
        migrations.AddField(
            model_name="pinnedconnection",
            name="tried_at",
            field=models.DateTimeField(help_text="When the gateway last began to look without a caller.", null=True),
        ),
        migrations.AddField(
            model_name="pinnedconnection",
            name="looked_at",
            field=models.DateTimeField(help_text="When it last saw all of them so.", null=True),
        ),
        migrations.AddField(
            model_name="pinnedconnection",
            name="look_failed",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="Why it does not.", max_length=300
            ),
        ),
        migrations.AddField(
            model_name="pinnedconnection",
            name="looked_for",
            field=models.CharField(blank=True, db_default="", default="", help_text="Where it looked.", max_length=64),
        ),
        migrations.AddField(
            model_name="pinnedconnection",
            name="is_due",
            field=models.BooleanField(db_default=False, default=False, help_text="It is to look again now."),
        ),
    ]
