"""Datasets as Detectron2 knows them: benchmarks, Storybook, folders of one's own."""
