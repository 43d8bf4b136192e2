"""The demo: a real MCP server and client, sample people and rules, and a pipeline step that waits for a
person.
"""
