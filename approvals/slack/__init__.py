"""Slack: the card of a request, what a click does, and the one client of Slack's API."""
