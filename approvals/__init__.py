"""Policy and rules, approval requests, votes, grants, waiting, and the approvers' pages."""
