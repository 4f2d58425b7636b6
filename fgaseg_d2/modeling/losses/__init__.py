"""Losses that belong to no method."""
