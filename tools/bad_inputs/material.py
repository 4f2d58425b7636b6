"""What all inputs share: the libraries, loaded once, a tiny model, and sound files to damage."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from detectron2.config import CfgNode
from PIL import Image
from torch import Tensor

from fgaseg_d2.config.loading import leaves, load_config
from fgaseg_d2.modeling.towers.loading import load_clip
from fgaseg_d2.predict.predictor import OpenVocabPredictor

CLASSES = ("cat", "dog", "sky")
WORDS = ",".join(CLASSES)
# The smallest CLIP that the model takes.
_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@dataclass(frozen=True)
class Material:
    """Shared by all inputs, and changed by none.

    Attributes:
        folder: with "pictures" and "labels", three of each, and the configuration below.
        config: a YAML file, complete and small.
        cfg: the same, loaded.
        predictor: with random weights.
        state: the tensors of its model.
        clip: a CLIP that fits the configuration.
        values: every key of the configuration with its value.
    """

    folder: Path
    config: Path
    cfg: CfgNode
    predictor: OpenVocabPredictor
    state: dict[str, Tensor]
    clip: torch.nn.Module
    values: dict[str, Any]

    @property
    def clip_file(self) -> Path:
        """The model configuration of :attr:`clip`."""
        return self.folder / "Bad-Inputs-8.json"

    @property
    def small_state(self) -> dict[str, Tensor]:
        """A few of the tensors, for files of some kilobytes, in which damage hits the structure."""
        small = {name: tensor for name, tensor in self.state.items() if tensor.numel() <= 64}
        return dict(list(small.items())[:24])

    def pairs(self) -> list[dict[str, str]]:
        """Dataset records of the sound pictures and labels."""
        return [
            {
                "file_name": str(self.folder / "pictures" / f"{number}.png"),
                "sem_seg_file_name": str(self.folder / "labels" / f"{number}.png"),
            }
            for number in range(3)
        ]


def make_material(folder: Path) -> Material:
    """Write the shared files and build the model, on one thread, so that forks are sound.

    Args:
        folder: empty.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name in ("pictures", "labels"):
        (folder / name).mkdir()
    for number in range(3):
        Image.fromarray(_pixels(number)).save(folder / "pictures" / f"{number}.png")
        label = (_pixels(number)[..., 0] // 64) % len(CLASSES)
        Image.fromarray(label).save(folder / "labels" / f"{number}.png")
    clip_file = folder / "Bad-Inputs-8.json"
    clip_file.write_text(json.dumps(_CLIP), "utf-8")
    config = folder / "small.yaml"
    config.write_text(_config_text(folder, clip_file), "utf-8")
    predictor = OpenVocabPredictor(config)
    # Once, so that what the first call sets up is not counted to an input.
    predictor(_pixels(0), WORDS)
    return Material(
        folder,
        config,
        load_config(config),
        predictor,
        predictor.model.state_dict(),
        load_clip(str(clip_file), ""),
        dict(leaves(load_config(config))),
    )


def open_clip_state(material: Material) -> dict[str, Tensor]:
    """The tensors of a CLIP by the names that published files have."""
    return open_clip.create_model(material.clip_file.stem).state_dict()


def picture_bytes(form: str, mode: str = "RGB", **options: Any) -> bytes:
    """A sound picture of 32 x 24 pixels as a file's bytes.

    Args:
        form: of Pillow, such as "PNG".
        mode: of Pillow, such as "L".
        options: of Pillow's writer.
    """
    stream = io.BytesIO()
    image = Image.fromarray(_pixels(0))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    image.save(stream, form, **options)
    return stream.getvalue()


def _pixels(seed: int) -> np.ndarray:
    """Coloured rectangles, 24 x 32 x 3."""
    coarse = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


def _config_text(folder: Path, clip_file: Path) -> str:
    """A YAML file that makes the smallest model with every part."""
    content = {
        "_BASE_": str(Path(__file__).parents[2] / "configs" / "fgaseg" / "tiny.yaml"),
        "OUTPUT_DIR": "output",
        "MODEL": {
            "WEIGHTS": "",
            "DEVICE": "cpu",
            "CLIP": {
                "NAME": str(clip_file),
                "IMAGE_SIZE": [32, 32],
                "FINETUNE": "attention",
                "TEXT_CACHE_SIZE": 0,
            },
            "FGASEG": {
                "P2T": {"HEADS": 2},
                "HIDDEN_DIM": 16,
                "GUIDANCE_DIM": 16,
                "ATTENTION_HEADS": 1,
                "WINDOW_SIZE": 4,
                "GUIDANCE_DIMS": [8, 8],
                "DECODER_DIMS": [8, 8],
                "DECODER_GUIDANCE_DIMS": [4, 4],
                "VOCABULARY": WORDS,
            },
        },
        "INPUT": {
            "MIN_SIZE_TRAIN": [32],
            "MIN_SIZE_TEST": 32,
            "MAX_SIZE_TEST": 256,
            "CROP": {"SIZE": [32, 32]},
        },
        "DATASETS": {
            "FOLDERS": [
                {
                    "name": "bad_inputs",
                    "images": str(folder / "pictures"),
                    "labels": str(folder / "labels"),
                    "vocabulary": WORDS,
                }
            ],
            "TRAIN": ["bad_inputs"],
            "TEST": ["bad_inputs"],
        },
        "SOLVER": {"MAX_ITER": 1, "CHECKPOINT_PERIOD": 1, "AMP": {"ENABLED": False}},
        "DATALOADER": {"NUM_WORKERS": 0},
        "TEST": {"AUG": {"MIN_SIZES": [32]}},
    }
    # JSON is YAML.
    return json.dumps(content, indent=2)
