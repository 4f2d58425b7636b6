"""Evaluators for registered datasets."""
