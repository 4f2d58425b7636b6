"""How long a model takes, and how much memory, in figures that hold beyond one machine."""
