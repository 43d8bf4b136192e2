"""The gateway's own MCP server at `/mcp/gateway`: what may I call, what became of my requests, wait, explain."""
