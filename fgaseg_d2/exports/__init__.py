"""Results as other programs read them: regions, outlines and run lengths."""
