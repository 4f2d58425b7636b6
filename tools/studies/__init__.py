"""Studies: configurations that differ in one thing, trained with several seeds and compared."""
