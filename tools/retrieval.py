#!/usr/bin/env python3
r"""Measure how well the pictures and captions of a dataset find each other by a CLIP's embeddings.

python tools/retrieval.py clip_pretraining/storybook_clip --weights clip.safetensors \
    --dataset storybook_captions_val
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from command_line import Parser, run_command, say

if TYPE_CHECKING:
    import torch

_RANKS = (1, 5, 10)
_BATCH = 128  # pictures or captions that are embedded together


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        description="Measure how well the pictures and captions of a dataset find each other: "
        "recall at 1, 5 and 10, in percent. A picture has found its captions if one of them is "
        "among the nearest."
    )
    parser.add_argument("config", help="YAML file, or the name of a bundled configuration")
    parser.add_argument("--dataset", required=True, help="a registered dataset with captions")
    parser.add_argument(
        "--weights", default="", help="CLIP file (default: that of MODEL.CLIP.PRETRAINED)"
    )
    parser.add_argument(
        "--opts", nargs="*", default=[], metavar="KEY VALUE", help="changes of the configuration"
    )
    parser.add_imports()
    return parser


def recall(
    similarity: torch.Tensor, owners: torch.Tensor, ranks: Sequence[int] = _RANKS
) -> dict[str, float]:
    """Recall of both directions.

    Args:
        similarity: P x T, of each picture and each caption.
        owners: T, the picture that each caption is of.
        ranks: how many of the nearest are looked at.

    Returns:
        "picture -> caption R@k" and "caption -> picture R@k", in percent.
    """
    import torch

    pictures = torch.arange(len(similarity))
    found = {}
    for rank in ranks:
        nearest = similarity.topk(min(rank, len(owners)), dim=1).indices
        hits = (owners[nearest] == pictures[:, None]).any(1)
        found[f"picture -> caption R@{rank}"] = 100 * hits.float().mean().item()
    for rank in ranks:
        nearest = similarity.topk(min(rank, len(pictures)), dim=0).indices
        hits = (nearest == owners).any(0)
        found[f"caption -> picture R@{rank}"] = 100 * hits.float().mean().item()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_command(build_parser(), _measure, arguments)


def _measure(options: argparse.Namespace) -> None:
    import torch

    from fgaseg_d2.config.loading import load_config
    from fgaseg_d2.data.datasets.configured import register_configured
    from fgaseg_d2.data.mappers.inputs import PictureInput
    from fgaseg_d2.data.mappers.pictures import opened_record
    from fgaseg_d2.data.records import check_captions, dataset_kind, dataset_records
    from fgaseg_d2.engine.imports import import_user_module
    from fgaseg_d2.engine.trainer import FGASegTrainer
    from fgaseg_d2.methods.clip_pretraining import CLIPPretraining
    from fgaseg_d2.modeling.losses.contrastive import pooled_similarity
    from fgaseg_d2.vocabulary.dataset_words import CAPTIONED
    from fgaseg_d2.wording import shown

    for module in options.imports:
        import_user_module(module)
    weights = ["MODEL.CLIP.PRETRAINED", options.weights] if options.weights else []
    method = ["MODEL.META_ARCHITECTURE", "CLIPPretraining", "MODEL.WEIGHTS", ""]
    cfg = load_config(options.config, [*options.opts, *method, *weights], device="cpu")
    register_configured(cfg)
    kind = dataset_kind(options.dataset)
    if kind != CAPTIONED:
        raise ValueError(
            f"expected a dataset with captions, got {shown(options.dataset)}, whose samples are "
            f"{kind}"
        )
    if not cfg.MODEL.CLIP.PRETRAINED:
        raise ValueError("expected a CLIP file in --weights, got none; random weights find nothing")
    records = dataset_records(options.dataset)
    check_captions(options.dataset, records)
    model = FGASegTrainer.build_model(cfg).eval()
    assert isinstance(model, CLIPPretraining)
    captions = [text for record in records for text in record["captions"]]
    owners = [index for index, record in enumerate(records) for _ in record["captions"]]
    prepare = PictureInput((), cfg.INPUT.FORMAT)
    with torch.no_grad():
        pictures = torch.cat(
            [
                model.embed_pictures([prepare(opened_record(record)[1]) for record in batch])
                for batch in _batches(records)
            ]
        )
        texts = torch.cat([model.text_encoder.encode_sentences(b) for b in _batches(captions)])
        similarity = torch.cat(
            [
                pooled_similarity(batch, texts, model.scale, model.sharpness)
                for batch in _batches(pictures)
            ]
        )
    say(f"{options.dataset}: {len(records)} pictures, {len(captions)} captions")
    for name, value in recall(similarity, torch.tensor(owners)).items():
        say(f"{name}: {value:.1f}")


def _batches(items) -> list:
    return [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]


if __name__ == "__main__":
    sys.exit(main())
