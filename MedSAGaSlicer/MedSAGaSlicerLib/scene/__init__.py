"""Prompts, masks and volumes in an MRML scene; no Qt, the scene is always an argument."""
