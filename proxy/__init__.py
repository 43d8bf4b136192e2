"""The data path: connections, caller identity, MCP messages, the pipeline, the upstream client."""
