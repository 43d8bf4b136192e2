"""What is told of approval requests outside the gateway's own pages, and how each way puts it."""
