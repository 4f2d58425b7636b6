"""Blocks that belong to no method: plain torch, plain arguments."""
