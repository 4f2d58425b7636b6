"""Agreement with recorded outputs of the authors' code."""
