"""Pictures and files, read safely and written whole: the ground floor of the package."""
