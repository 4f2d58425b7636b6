"""Pure functions from views of a picture to scores of its classes."""
