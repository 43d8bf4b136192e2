"""What masking would do and has done: a trial on one's own text, and the page of admins."""
