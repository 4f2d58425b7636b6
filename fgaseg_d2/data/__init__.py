"""Registered datasets, and how their samples reach the model; importing registers Storybook."""

from fgaseg_d2.data.storybook import register_storybook

register_storybook()
