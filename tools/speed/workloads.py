"""What is measured: each workload makes a function that does it once."""

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_sem_seg
from detectron2.evaluation import inference_on_dataset

from fgaseg_d2.config.loading import load_config
from fgaseg_d2.engine.optimizer import build_optimizer
from fgaseg_d2.engine.trainer import FGASegTrainer
from fgaseg_d2.io.files import write_image
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from fgaseg_d2.vocabulary import Vocabulary

_TOOLS = Path(__file__).resolve().parent.parent
_DATASET = "speed_measurement"

# What differs from the configuration, by name.
VARIANTS: Mapping[str, list[Any]] = {
    "exact": [],
    "keep1": ["MODEL.FGASEG.KEEP_CLASSES", 1],
    "keep2": ["MODEL.FGASEG.KEEP_CLASSES", 2],
    "keep4": ["MODEL.FGASEG.KEEP_CLASSES", 4],
    "fast": ["MODEL.FGASEG.FAST.ENABLED", True],
    "checkpointing": [
        *("MODEL.CLIP.GRADIENT_CHECKPOINTING", True),
        *("MODEL.FGASEG.GRADIENT_CHECKPOINTING", True),
    ],
}
PRECISIONS = ("float32", "bfloat16", "float16")


def words(count: int) -> Vocabulary:
    """A vocabulary of `count` different words."""
    return Vocabulary.from_names([f"thing {number}" for number in range(count)])


def picture(height: int, width: int) -> torch.Tensor:
    """A picture of noise, 3 x height x width, 0..255."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, height, width, generator=generator) * 255


class Bench:
    """Makes the functions to time for one configuration, variant and precision.

    Args:
        config: name or path of a configuration.
        opts: keys and values in turn.
        variant: one of `VARIANTS`.
        precision: one of `PRECISIONS`.
        device: such as "cpu" or "cuda".
        size: height and width of the pictures.
        batch: pictures of a training step.
        pictures: of the evaluation.
        folder: for the evaluation's pictures.
    """

    def __init__(
        self,
        config: str,
        opts: list[Any],
        variant: str,
        precision: str,
        device: str,
        size: tuple[int, int],
        batch: int,
        pictures: int,
        folder: Path,
    ) -> None:
        self.opts = [*VARIANTS[variant], *opts]
        if precision != "float32":
            self.opts += ["TEST.AMP_DTYPE", precision]
        self.config, self.device, self.precision = config, device, precision
        self.size, self.batch, self.pictures, self.folder = size, batch, pictures, folder
        #: The model of the workload made last, None where it is in another process.
        self.model: Any = None

    def workload(self, what: str, classes: int) -> Callable[[], object]:
        """The function that does `what` once with so many classes; building it is not timed."""
        return WORKLOADS[what](self, classes)

    def forward(self, classes: int) -> Callable[[], object]:
        """One picture as a whole; text embeddings come from the cache after the first time."""
        return self._forward(classes, [])

    def sliding(self, classes: int) -> Callable[[], object]:
        """One picture by the sliding window."""
        return self._forward(classes, ["TEST.SLIDING_WINDOW.ENABLED", True])

    def text(self, classes: int) -> Callable[[], object]:
        """The text embeddings of the words, computed anew."""
        encoder = self._model(["MODEL.CLIP.TEXT_CACHE_SIZE", 0]).text_encoder
        entries = words(classes).entries

        def encode() -> None:
            encoder.clear_cache()
            with torch.no_grad():
                encoder(entries)

        return encode

    def training(self, classes: int) -> Callable[[], object]:
        """One step: forward, backward, optimiser."""
        cfg = self._config([])
        model = self._model([]).train()
        optimizer = build_optimizer(cfg, model)
        height, width = cfg.INPUT.CROP.SIZE
        labels = torch.arange(height * width).view(height, width) % classes
        item = {"image": picture(height, width), "sem_seg": labels, "vocabulary": words(classes)}
        dtype = getattr(torch, self.precision)

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
                losses = model([item] * self.batch)
            sum(losses.values()).backward()
            optimizer.step()

        return step

    def evaluation(self, classes: int) -> Callable[[], object]:
        """Pictures from files through reading, model and scoring."""
        _register_pictures(self.folder, self.pictures, self.size, classes)
        folder = str(self.folder / "results")
        cfg = self._config(["DATASETS.TEST", (_DATASET,), "OUTPUT_DIR", folder])
        model = self._model([])

        def evaluate() -> None:
            loader = FGASegTrainer.build_test_loader(cfg, _DATASET)
            with _quiet():
                inference_on_dataset(model, loader, FGASegTrainer.build_evaluator(cfg, _DATASET))

        return evaluate

    def startup(self, classes: int) -> Callable[[], object]:
        """A new process until its predictor is ready, with random weights; no word is looked at."""
        code = (
            f"import sys; sys.path.insert(0, {str(_TOOLS)!r}); "
            "from speed.workloads import predictor; "
            f"predictor({self.config!r}, {self.opts!r}, {self.device!r})"
        )
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    def _forward(self, classes: int, opts: list[Any]) -> Callable[[], object]:
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


def predictor(config: str, opts: list[Any], device: str) -> OpenVocabPredictor:
    """A predictor with random weights, the same each time."""
    torch.manual_seed(0)
    with _quiet():
        return OpenVocabPredictor(config, "", device, ["MODEL.CLIP.PRETRAINED", "", *opts])


WORKLOADS: Mapping[str, Callable[[Bench, int], Callable[[], object]]] = {
    name: getattr(Bench, name)
    for name in ("forward", "sliding", "text", "training", "evaluation", "startup")
}


def _register_pictures(folder: Path, count: int, size: tuple[int, int], classes: int) -> None:
    generator = np.random.default_rng(0)
    images, labels = folder / "images", folder / f"labels_{classes}"
    for number in range(count):
        noise = generator.integers(0, 256, (*size, 3), np.uint8)
        write_image(images / f"{number}.png", noise)
        dtype = np.uint8 if classes < 255 else np.uint16
        write_image(labels / f"{number}.png", generator.integers(0, classes, size, dtype))
    if _DATASET in DatasetCatalog:
        DatasetCatalog.remove(_DATASET)
        MetadataCatalog.remove(_DATASET)
    DatasetCatalog.register(
        _DATASET, lambda: load_sem_seg(str(labels), str(images), gt_ext="png", image_ext="png")
    )
    MetadataCatalog.get(_DATASET).set(
        stuff_classes=list(words(classes).class_names),
        ignore_label=255 if classes < 255 else 65535,
        evaluator_type="sem_seg",
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the log messages of every run."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
