"""Anchors beside the file: places of others to which the newest checkpoint goes, and what is known of each."""
