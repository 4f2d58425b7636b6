"""Writes a model as a folder that others can load, from their disk or from a hub.

fgaseg-d2 export output/pets my_model
fgaseg-d2 export pets.yaml my_model --weights output/pets/model_final.pth --half
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .command_line import Command, Parser, path, place, say

if TYPE_CHECKING:
    from fgaseg_d2.predict.predictor import OpenVocabPredictor

_EPILOG = """\
The folder holds config.yaml, model.safetensors, README.md and what else the model needs (a CLIP's
description, prompt templates, its own words). It goes wherever a model is chosen, such as
fgaseg-d2 segment photo.jpg --model my_model. `hf upload OWNER/NAME my_model` brings it to a hub,
from where everybody loads it as hf://OWNER/NAME.
"""
# What belongs to a machine or to a training's data, and not to a model.
_LEFT_OUT = (
    *("OUTPUT_DIR", "MODEL.DEVICE", "MODEL.WEIGHTS_PARTIAL", "MODEL.CLIP.PRETRAINED"),
    *("DATASETS.TRAIN", "DATASETS.TEST", "DATASETS.FOLDERS", "DATASETS.CAPTIONS"),
    *("DATASETS.SEGMENTS", "DATASETS.TEST_VOCABULARIES", "TEST.PROPOSALS.FILE"),
)
_WORDS = "words.json"
_CARD = """\
---
library_name: fgaseg_d2
pipeline_tag: image-segmentation
---
# {name}

Open-vocabulary semantic segmentation: {architecture} on {clip}, {numbers:,} parameters.

```bash
fgaseg-d2 segment photo.jpg --vocab "cat,dog,floor" --model FOLDER
```

```python
from fgaseg_d2 import OpenVocabPredictor

segmentation = OpenVocabPredictor("FOLDER")("photo.jpg", "cat,dog,floor")
```

FOLDER is this folder, or hf://OWNER/NAME where it lies on a hub. What it was trained on, how well
it does and under which licence it is: to be filled in.
"""


def _add_arguments(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "model",
        type=place,
        metavar="MODEL",
        help="folder of a training run, YAML file, or a name such as tiny",
    )
    add("folder", type=path, metavar="FOLDER", help="to write, new or empty")
    add("--weights", type=place, metavar="FILE", help="checkpoint (default: the model's)")
    add("--half", action="store_true", help="write half precision (float16): half the size")
    add("--opts", nargs="*", default=[], metavar="KEY VALUE", help="changes of keys")


def _run(options: argparse.Namespace) -> None:
    from fgaseg_d2.checkpoint.files import write_checkpoint
    from fgaseg_d2.config.finding import CONFIG_FILE, WEIGHTS_FILE
    from fgaseg_d2.io.files import atomic_path, prepare_folder
    from fgaseg_d2.predict.predictor import OpenVocabPredictor

    from .config import write_keys
    from .convert import halved

    folder = options.folder
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"expected a new or an empty folder, got {str(folder)!r}; name another")
    predictor = OpenVocabPredictor(options.model, options.weights, "cpu", options.opts)
    model = predictor.model
    if not predictor.cfg.MODEL.WEIGHTS and getattr(model, "needs_weights", True):
        raise ValueError(
            f"expected a model with trained weights, got {options.model} without; give --weights"
        )
    prepare_folder(folder)
    state = model.state_dict()
    write_checkpoint(folder / WEIGHTS_FILE, halved(state) if options.half else state)
    write_keys(folder / CONFIG_FILE, _keys(predictor, folder) | {"MODEL.WEIGHTS": WEIGHTS_FILE})
    with atomic_path(folder / "README.md") as temporary:
        text = _CARD.format(
            name=folder.resolve().name,
            architecture=predictor.cfg.MODEL.META_ARCHITECTURE,
            clip=Path(predictor.cfg.MODEL.CLIP.NAME).stem,
            numbers=sum(parameter.numel() for parameter in model.parameters()),
        )
        temporary.write_text(text, encoding="utf-8")
    say(f"{predictor.weights_summary} -> {folder}; fill in README.md before others use it")


def _keys(predictor: OpenVocabPredictor, folder: Path) -> dict[str, Any]:
    """The keys of a model, with the files that they name beside them."""
    from fgaseg_d2.io.files import write_json

    from .config import changed_keys

    keys = {k: v for k, v in changed_keys(predictor.cfg).items() if k not in _LEFT_OUT}
    for key, ending in (("MODEL.CLIP.NAME", ".json"), ("MODEL.WORDS.PROMPT_TEMPLATES", ".txt")):
        if str(keys.get(key, "")).endswith(ending):
            shutil.copyfile(keys[key], folder / Path(keys[key]).name)
            keys[key] = Path(keys[key]).name
    words = predictor.default_vocabulary
    if words is not None:
        write_json(folder / _WORDS, [list(names) for names in words.classes])
        keys["MODEL.WORDS.VOCABULARY"] = _WORDS
    return keys


COMMAND = Command(
    "Write a model as a folder that others can load: its configuration, its weights as "
    "safetensors, and a card to fill in.",
    *(_add_arguments, _run, _EPILOG),
)
