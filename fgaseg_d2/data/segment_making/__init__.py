"""Makes files of segments: of label maps by class, and of COCO's instances."""
