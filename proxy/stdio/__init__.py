"""MCP servers that speak over pipes: a runner starts them, and the gateway speaks HTTP with the runner."""
