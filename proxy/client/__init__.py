"""The caller's side: a plain MCP client for shells and pipelines. Needs no database and no Django."""
