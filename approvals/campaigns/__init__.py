"""Reviews of access: who may use what, looked at line by line by people other than those who have it."""
