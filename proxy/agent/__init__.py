"""The agent: it runs beside MCP servers in another network, dials out to a gateway, and calls them for it.

Whatever it imports needs no Django, no database and no settings of a gateway.
"""
