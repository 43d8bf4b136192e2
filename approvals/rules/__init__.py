"""What a configuration says of one call, compiled: pure, and asked through `approvals.policy`."""
