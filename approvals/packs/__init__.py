"""Packs: rules and masking that come with the gateway, switched on by a line.

Each is a YAML file beside this one, in the language of holdgate.yaml.
"""
