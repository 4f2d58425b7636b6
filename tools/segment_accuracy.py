#!/usr/bin/env python3
r"""Measure how often a model names the segments of a dataset as their texts do.

python tools/segment_accuracy.py use_tiny --dataset storybook_segments_test \
    --vocabulary storybook_generalized_test
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from command_line import Parser, count, run_command, say


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        description="Measure how often a model that has segments (USE, or any with "
        "TEST.SEGMENT_VOTE) names those of a dataset as one of their texts does, in percent of the "
        "segments: over all, and over those of seen and of unseen words where the vocabulary is "
        "that of a dataset that tells them apart. Segments without a text of the vocabulary do not "
        "count."
    )
    parser.add_argument("config", help="YAML file, or the name of a model or configuration")
    parser.add_argument("--dataset", required=True, help="a registered dataset with segments")
    parser.add_argument("--vocabulary", required=True, help="what a demo's --vocab takes")
    parser.add_argument("--weights", help="checkpoint (default: that of the configuration)")
    parser.add_argument(
        "--pictures", type=count, default=0, help="only the first ones, this many; 0: all"
    )
    parser.add_argument(
        "--opts", nargs="*", default=[], metavar="KEY VALUE", help="changes of the configuration"
    )
    parser.add_imports()
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), _measure, arguments)


def _measure(options: argparse.Namespace) -> None:
    from fgaseg_d2.data.records import dataset_kind, dataset_records
    from fgaseg_d2.data.segments import segment_mask, segment_texts
    from fgaseg_d2.engine.imports import import_user_module
    from fgaseg_d2.io.files import read_image
    from fgaseg_d2.predict import OpenVocabPredictor
    from fgaseg_d2.vocabulary import Vocabulary
    from fgaseg_d2.vocabulary.dataset_words import (
        SEGMENTED,
        find_metadata,
        is_dataset,
        unseen_classes,
    )
    from fgaseg_d2.wording import shown

    for module in options.imports:
        import_user_module(module)
    predictor = OpenVocabPredictor(options.config, options.weights, opts=options.opts)
    if dataset_kind(options.dataset) != SEGMENTED:
        raise ValueError(f"expected a dataset with segments, got {shown(options.dataset)}")
    words = Vocabulary.coerce(options.vocabulary)
    unseen: set[str] = set()
    if is_dataset(options.vocabulary):
        unseen = set(unseen_classes(find_metadata(options.vocabulary)))
    hits: dict[str, list[bool]] = {"seen": [], "unseen": []}
    records = dataset_records(options.dataset, options.pictures)
    for record in records:
        picture = read_image(record["file_name"])
        masks, truths = [], []
        for number, segment in enumerate(record["segments"]):
            where = f"{record['file_name']}, segment {number}"
            texts = set(segment_texts(segment, where))
            if truth := texts & set(words.class_names):
                masks.append(segment_mask(segment, picture.shape[:2], where).astype(bool))
                truths.append(truth)
        if not masks:
            continue
        named = predictor.segments(picture, words, masks)
        for segment, truth in zip(named, truths, strict=True):
            kind = "unseen" if truth <= unseen else "seen"
            hits[kind].append(segment.name in truth)
    say(f"{options.dataset}, {len(records)} pictures, {len(words.class_names)} words")
    say("segments     number  named right (%)")
    rows = {"all": hits["seen"] + hits["unseen"]} | (hits if unseen else {})
    for name, found in rows.items():
        share = 100 * sum(found) / len(found) if found else float("nan")
        say(f"{name:<8}  {len(found):9d}  {share:15.1f}")


if __name__ == "__main__":
    sys.exit(main())
