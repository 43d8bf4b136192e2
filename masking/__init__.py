"""What is sensitive and how it is hidden. Pure: no Django, no I/O."""
