"""What is measured: each workload makes a function that does it once."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.evaluation import inference_on_dataset

from fgaseg_d2.config.loading import load_config
from fgaseg_d2.data import register_folders
from fgaseg_d2.engine.optimizer import build_optimizer
from fgaseg_d2.engine.trainer import FGASegTrainer
from fgaseg_d2.io.files import write_image
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from fgaseg_d2.vocabulary import Vocabulary

_TOOLS = Path(__file__).resolve().parent.parent
_DATASET, _PICTURES = "speed_measurement", 8
Function = Callable[[], object]


@dataclass
class Bench:
    """Makes the functions to time for one configuration.

    Args:
        config: name or path of a configuration.
        opts: keys and values in turn.
        device: such as "cpu" or "cuda".
        size: height and width of the pictures.
        batch: pictures of a training step.
        folder: for the evaluation's pictures.

    Attributes:
        model: of the workload made last, None where it is in another process.
    """

    config: str
    opts: list[str]
    device: str
    size: tuple[int, int]
    batch: int
    folder: Path
    model: Any = field(default=None, init=False)

    def forward(self, classes: int) -> Function:
        """One picture as a whole; text embeddings come from the cache after the first time."""
        return self._forward(classes, [])

    def sliding(self, classes: int) -> Function:
        """One picture by the sliding window."""
        return self._forward(classes, ["TEST.SLIDING_WINDOW.ENABLED", True])

    def text(self, classes: int) -> Function:
        """The text embeddings of the words, computed anew."""
        encoder = self._model(["MODEL.CLIP.TEXT_CACHE_SIZE", 0]).text_encoder
        entries = words(classes).entries

        def encode() -> None:
            encoder.clear_cache()
            with torch.no_grad():
                encoder(entries)

        return encode

    def training(self, classes: int) -> Function:
        """One step: forward, backward, optimiser."""
        cfg, model = self._config([]), self._model([]).train()
        optimizer = build_optimizer(cfg, model)
        height, width = cfg.INPUT.CROP.SIZE
        labels = torch.arange(height * width).view(height, width) % classes
        item = {"image": picture(height, width), "sem_seg": labels, "vocabulary": words(classes)}
        dtype = getattr(torch, cfg.SOLVER.AMP.DTYPE)

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast(model.device.type, dtype, enabled=cfg.SOLVER.AMP.ENABLED):
                losses = model([item] * self.batch)
            sum(losses.values()).backward()
            optimizer.step()

        return step

    def evaluation(self, classes: int) -> Function:
        """Eight pictures from files through reading, model and scoring."""
        images, labels = self.folder / "images", self.folder / f"labels_{classes}"
        drawn = np.random.default_rng(0)
        for number in range(_PICTURES):
            name, dtype = f"{number}.png", np.uint8 if classes < 255 else np.uint16
            write_image(images / name, drawn.integers(0, 256, (*self.size, 3), np.uint8))
            write_image(labels / name, drawn.integers(0, classes, self.size, dtype))
        register_folders(_DATASET, images, labels, words(classes))
        folder = str(self.folder / "results")
        cfg = self._config(["DATASETS.TEST", (_DATASET,), "OUTPUT_DIR", folder])
        model = self._model([])

        def evaluate() -> None:
            loader = FGASegTrainer.build_test_loader(cfg, _DATASET)
            with _quiet():
                inference_on_dataset(model, loader, FGASegTrainer.build_evaluator(cfg, _DATASET))

        return evaluate

    def startup(self, classes: int) -> Function:
        """A new process until its predictor is ready, with random weights; no word is looked at."""
        code = (
            f"import sys; sys.path.insert(0, {str(_TOOLS)!r}); "
            "from speed.workloads import predictor; "
            f"predictor({self.config!r}, {self.opts!r}, {self.device!r})"
        )
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    def _forward(self, classes: int, opts: list[Any]) -> Function:
        model = self._model(opts)
        item = {"image": picture(*self.size), "vocabulary": words(classes)}

        def segment() -> None:
            with torch.no_grad():
                model([item])

        return segment

    def _config(self, opts: list[Any]) -> CfgNode:
        return load_config(self.config, [*self.opts, *opts], "", self.device)

    def _model(self, opts: list[Any]) -> Any:
        self.model = predictor(self.config, [*self.opts, *opts], self.device).model
        return self.model


def words(count: int) -> Vocabulary:
    """A vocabulary of `count` different words."""
    return Vocabulary.from_names([f"thing {number}" for number in range(count)])


def picture(height: int, width: int) -> torch.Tensor:
    """A picture of noise, 3 x height x width, 0..255."""
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)) * 255


def predictor(config: str, opts: list[Any], device: str) -> OpenVocabPredictor:
    """A predictor with random weights, the same each time."""
    torch.manual_seed(0)
    with _quiet():
        return OpenVocabPredictor(config, "", device, ["MODEL.CLIP.PRETRAINED", "", *opts])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the log messages of every run."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
