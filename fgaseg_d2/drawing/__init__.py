"""Pictures for people: overlays, legends, contact sheets."""
