"""Tokens for servers: asked for at their authorization servers, kept until shortly before they expire."""
