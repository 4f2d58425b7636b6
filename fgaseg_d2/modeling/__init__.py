"""What belongs to no method: towers, layers, losses, inference."""
