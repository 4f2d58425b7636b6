"""Pictures, videos and cameras: finding, reading, segmenting and writing them."""
