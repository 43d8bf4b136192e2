"""The pages of approvers and admins: forms, cards and views, each over the services of the package above."""
