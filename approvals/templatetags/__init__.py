"""Template filters of the approvals pages."""
