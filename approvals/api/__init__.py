"""The REST API of approvals, policy and record: one module a subject, each over the services of the package above."""
