"""Bad inputs by kind, and what counts as an answer to them; for tools/try_bad_inputs.py."""
