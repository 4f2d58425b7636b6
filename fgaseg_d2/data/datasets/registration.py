"""Makes the benchmarks known to Detectron2 as ``<benchmark>_<split>``, such as ade20k_150_val."""

import logging
import os
from functools import partial
from pathlib import Path

from ...vocabulary.colors import class_colors
from ...vocabulary.dataset_words import OWN_KEY
from ...vocabulary.parsing import read_benchmark
from .benchmarks import BENCHMARKS, Benchmark
from .catalog import datasets_root, replace_dataset
from .pairs import paired_files

logger = logging.getLogger(__name__)


def register_benchmarks(root: str | os.PathLike | None = None) -> None:
    """Register every split of every benchmark; a later call replaces an earlier one.

    No picture or label is looked for before a dataset is loaded.

    Args:
        root: folder of all datasets; None takes the environment variable DETECTRON2_DATASETS, or
            ``datasets`` if it is not set.
    """
    root = datasets_root(root)
    for benchmark in BENCHMARKS.values():
        classes = evaluated_classes(benchmark)
        own: dict[str, str | int] = {"vocabulary": benchmark.vocabulary}
        if benchmark.background_class is not None:
            own["background_class"] = benchmark.background_class
        metadata = {
            "stuff_classes": classes,
            "stuff_colors": benchmark_colors(benchmark, len(classes)),
            "ignore_label": benchmark.ignore_label,
            "benchmark": benchmark.name,
            OWN_KEY: own,
        }
        if benchmark.background_class is not None:
            # To other projects: the index of the background.
            metadata["background_class"] = benchmark.background_class
        for split, files in benchmark.splits.items():
            replace_dataset(
                f"{benchmark.name}_{split}",
                partial(load_benchmark, benchmark.name, split, root),
                image_root=str(root / files.image_dir),
                sem_seg_root=str(root / files.label_dir),
                **metadata,
            )


def load_benchmark(name: str, split: str, root: str | os.PathLike) -> list[dict]:
    """List the records of a prepared benchmark.

    Args:
        name: one of BENCHMARKS.
        split: one of its splits.
        root: folder of all datasets.

    Returns:
        Dicts with ``file_name`` and ``sem_seg_file_name``, one for each label file.

    Raises:
        FileNotFoundError: a folder is not there.
        ValueError: no label files, a label file without its picture, or two files of one name.
    """
    files = BENCHMARKS[name].splits[split]
    command = f"python tools/prepare_datasets.py {_preparation(name)} --root {root}"
    if split != "val":
        command += f" --splits {split}"
    try:
        records, _ = paired_files(Path(root, files.image_dir), Path(root, files.label_dir))
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{name}_{split}: {error}; prepare it with: {command}") from None
    if len(records) != files.count:
        logger.warning(
            "%s_%s: expected the official %d label files in %s, got %d; see %s --check",
            *(name, split, files.count, Path(root, files.label_dir), len(records), command),
        )
    return records


def evaluated_classes(benchmark: Benchmark) -> list[str]:
    """Names of the classes that the labels of a benchmark index, synonyms separated by ", "."""
    words = read_benchmark(benchmark.vocabulary)
    return words.get("evaluation_classes") or [", ".join(names) for names in words["classes"]]


def benchmark_colors(benchmark: Benchmark, count: int) -> list[tuple[int, int, int]]:
    """Colours of the evaluated classes, RGB in 0 .. 255."""
    if benchmark.name == "pascal_voc_21":
        return [_voc_color(index) for index in range(count)]
    if benchmark.name.startswith("pascal_voc"):
        # The palette begins with black for the background, which is no class or the last one.
        colors = [_voc_color(index + 1) for index in range(20)]
        return colors + [_voc_color(0)] * (count - 20)
    return [(int(red), int(green), int(blue)) for red, green, blue in class_colors(count)]


def _voc_color(index: int) -> tuple[int, int, int]:
    """Entry of PASCAL VOC's palette: three bits a round go to R, G and B, from the top bit down."""
    channels = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * place + channel) & 1) << (7 - place)
    return channels[0], channels[1], channels[2]


def _preparation(name: str) -> str:
    """What tools/prepare_datasets.py calls a benchmark: PAS-20 and PAS-20b are made at once."""
    return "pascal_voc" if name in ("pascal_voc_20", "pascal_voc_20b") else name
