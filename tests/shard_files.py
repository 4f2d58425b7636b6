"""Shards of pictures with captions, written by Python's tarfile as img2dataset lays them out."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fgaseg_d2.data import loaders, register_caption_shards
from fgaseg_d2.data.records import dataset_records
from tests.conftest import ROOT, config

NAME = "own_shards"  # of the dataset that they are registered as
FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}


def encoded(number: int, kind: str = "jpg", size: tuple[int, int] = (40, 56)) -> bytes:
    """A picture of its own for each number: blocks in random colors; size is height x width."""
    blocks = np.random.default_rng(number).integers(0, 255, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(blocks).resize(size[::-1], Image.Resampling.NEAREST)
    image.save(file, FORMATS[kind], quality=90)
    return file.getvalue()


# What is said of a picture -> its file.
UNDECODABLE = {
    "a file that is no picture": {"jpg": b"<html>not found</html>"},
    "a picture that cannot be decoded (": {"jpg": encoded(7)[:400]},
}


def sample(number: int, kind: str = "jpg", **changes: bytes | None) -> dict[str, bytes]:
    """The files of one sample by ending; None in `changes` leaves one out."""
    told = {"caption": f"picture {number}", "key": f"{number:09d}", "status": "success"}
    files: dict[str, bytes | None] = {
        "json": json.dumps(told).encode(),
        kind: encoded(number, kind),
        "txt": f"picture number {number}".encode(),
    }
    files.update(changes)
    return {ending: content for ending, content in files.items() if content is not None}


def write_shard(path: Path, samples: Mapping[int | str, Mapping[str, bytes]]) -> Path:
    """Write samples, by key, into a tar file, with the sidecars of img2dataset beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, files in samples.items():
            stem = f"{key:09d}" if isinstance(key, int) else key
            for ending, content in files.items():
                member = tarfile.TarInfo(f"{stem}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    path.with_name(f"{path.stem}_stats.json").write_text(json.dumps({"successes": len(samples)}))
    path.with_suffix(".parquet").write_bytes(b"PAR1 no table of ours PAR1")
    return path


def write_shards(
    folder: Path,
    shards: int = 3,
    each: int = 4,
    changed: Mapping[int, Mapping[str, bytes | None]] | None = None,
    kinds: Iterable[str] = ("jpg",),
) -> list[Path]:
    """Write shards 00000.tar, ... of consecutive samples; `changed` has files by number."""
    kinds, changed = tuple(kinds), changed or {}
    paths = []
    for shard in range(shards):
        numbers = range(shard * each, (shard + 1) * each)
        samples = {n: sample(n, kinds[n % len(kinds)], **changed.get(n, {})) for n in numbers}
        paths.append(write_shard(folder / f"{shard:05d}.tar", samples))
    return paths


def cfg_for(*opts):
    """A configuration that trains a small model on the dataset NAME."""
    return config(
        "tests/data/small.yaml",
        *("MODEL.META_ARCHITECTURE", "CLIPPretraining", "DATASETS.TRAIN", (NAME,)),
        *("DATASETS.TEST", (), "INPUT.CROP.TYPE", "resized", "INPUT.CROP.SIZE", [32, 32]),
        *("SOLVER.IMS_PER_BATCH", 4, "DATALOADER.NUM_WORKERS", 0, *opts),
    )


def write_config(folder, method, *opts):
    """A configuration that trains a small model on the shards beside it."""
    path = folder / "shards.yaml"
    path.write_text(
        f"_BASE_: {ROOT / 'tests/data/small.yaml'}\n"
        "MODEL:\n"
        f"  META_ARCHITECTURE: {method}\n"
        f"  CLIP: {{NAME: {ROOT / 'tests/data/clip/Small-ViT-8.json'}, IMAGE_SIZE: [32, 32],\n"
        f"    DENSE_READING: {'maskclip' if method == 'MGCA' else 'clip'}}}\n"
        "DATASETS:\n"
        f"  CAPTIONS: [{{name: {NAME}, shards: '{folder}/shards/{{00000..00002}}.tar'}}]\n"
        f"  TRAIN: [{NAME}]\n"
        "  TEST: []\n"
        "INPUT: {CROP: {TYPE: resized, SIZE: [32, 32], AREA: [0.08, 1.0]}}\n"
        "SOLVER: {IMS_PER_BATCH: 4, MAX_ITER: 2, WARMUP_ITERS: 0, AMP: {ENABLED: False}}\n"
        "DATALOADER: {NUM_WORKERS: 0}\n"
        "SEED: 3\n"
    )
    words = [str(word) for word in opts]
    return ["--config-file", str(path), "OUTPUT_DIR", str(folder / "output"), *words]


def records_of(shards):
    """Register shards as NAME, and list their records."""
    register_caption_shards(NAME, shards)
    return dataset_records(NAME)


def stream(count, workers=0, start=0, seed=5):
    """The samples of some batches from an iteration on."""
    loader = loaders.build_train_loader(cfg_for("DATALOADER.NUM_WORKERS", workers), seed=seed)
    loader.start_iter = start
    batches = iter(loader)
    return [item for _ in range(count) for item in next(batches)]


def same(first, second):
    """Whether two streams are of the same samples, pictures and all."""
    return len(first) == len(second) and all(
        one["file_name"] == other["file_name"]
        and one["caption"] == other["caption"]
        and torch.equal(one["image"], other["image"])
        for one, other in zip(first, second, strict=True)
    )
