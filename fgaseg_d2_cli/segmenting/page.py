"""The page in the browser: a picture and words in; cautions, overlay, shares and files out."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fgaseg_d2.config.effects import PREDICTION
from fgaseg_d2.config.loading import load_config
from fgaseg_d2.config.models import MODELS
from fgaseg_d2.engine.errors import one_line, tracebacks_wanted
from fgaseg_d2.exports import Export
from fgaseg_d2.io.extras import import_extra
from fgaseg_d2.predict.cautions import about_pairs, about_picture, about_words
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from fgaseg_d2.predict.segmentation import Segmentation
from fgaseg_d2.vocabulary import Vocabulary
from fgaseg_d2.vocabulary.vocabulary import BACKGROUND
from fgaseg_d2.wording import few

from .building import make_predictor

_KEPT = 3600  # seconds for which Gradio keeps uploads and results
_INDEXED = 256  # classes of an indexed PNG, at most


class Answer(NamedTuple):
    """What the page shows, in this order.

    Args:
        cautions: a line each, and a last one about the weights.
        overlay: uint8, RGB, with a legend.
        shares: name and percentage of the pixels of every class, the largest first.
        files: paths to download, until the next answer.
    """

    cautions: str
    overlay: np.ndarray
    shares: list[list[Any]]
    files: list[str]


class Page:
    """Segments one picture at a time, and keeps the model that was asked for last.

    Args:
        model: that of the command line, what ``load_config`` takes; the first of :attr:`models`.
        weights: a checkpoint for this model; None takes its configuration's.
        device: of all models; None takes the GPU if there is one.
    """

    def __init__(
        self, model: str = "tiny", weights: str | None = None, device: str | None = None
    ) -> None:
        self.models = list(dict.fromkeys([model, *MODELS]))
        self._weights, self._device = weights, device
        self._kept: tuple[str, OpenVocabPredictor] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def predictor(self, name: str) -> OpenVocabPredictor:
        """The model of a name, built unless it is the last one.

        Raises:
            OSError, ValueError: as :class:`OpenVocabPredictor`.
        """
        if self._kept is None or self._kept[0] != name:
            self._kept = None  # first, so that there is room for another
            weights = self._weights if name == self.models[0] else None
            cfg = load_config(name, (), weights, self._device, PREDICTION)
            self._kept = name, make_predictor(cfg, name)
        return self._kept[1]

    def segment(self, picture: str | None, words: str, model: str) -> Answer:
        """Segment a picture.

        Args:
            picture: path of the file; None if there is none yet.
            words: "cat|kitten,dog"; never the path of a file, which would be one of the server's.
            model: one of :attr:`models`.

        Raises:
            OSError, ValueError: no picture, no words, or a model that cannot be had.
        """
        if not picture:
            raise ValueError("expected a picture, got none; drop one onto the page")
        vocabulary = Vocabulary.parse(words)
        predictor = self.predictor(model)
        found = predictor(Path(picture), vocabulary)
        shares = sorted(found.shares.items(), key=lambda item: -item[1])
        return Answer(
            "\n".join([*_cautions(found, predictor), f"weights: {found.weights}"]),
            found.overlay(),
            [[name, round(100 * share, 3)] for name, share in shares],
            self._write(found),
        )

    def close(self) -> None:
        """Remove the files of the last answer."""
        if self._folder is not None:
            self._folder.cleanup()

    def _write(self, found: Segmentation) -> list[str]:
        self.close()
        self._folder = tempfile.TemporaryDirectory(prefix="fgaseg_d2_page_")
        formats = ["png", "coco"] if len(found.class_names) <= _INDEXED else ["coco"]
        with Export(self._folder.name, formats, found.class_names) as export:
            export.add(found.label_map, found.image, found.source)
        return sorted(str(file) for file in Path(self._folder.name).rglob("*") if file.is_file())


def _cautions(found: Segmentation, predictor: OpenVocabPredictor) -> list[str]:
    """What to know before trusting a result, a sentence each."""
    model, words = predictor.cfg.MODEL, found.vocabulary
    absent = [name for name, share in found.shares.items() if not share and name != BACKGROUND]
    sentences = (
        about_picture(found.image, found.source, model.WEIGHTS or model.CLIP.PRETRAINED),
        about_words(words, predictor.softmax_scores),
        about_pairs(words),
        f"nowhere in the picture: {few(absent)}" if absent else "",
    )
    return [f"caution: {sentence}" for sentence in sentences if sentence]


def build_app(page: Page) -> Any:
    """The page as a ``gradio.Blocks``, not launched; errors of users are one line on it.

    Raises:
        ImportError: Gradio is not installed.
    """
    gr = import_extra("gradio", "page")

    def answer(picture: str | None, words: str, model: str) -> Answer:
        try:
            return page.segment(picture, words, model)
        except Exception as error:
            message = one_line(error)
            if message is None or tracebacks_wanted():
                raise
            # Shown as HTML, and words may hold any characters.
            text = html.escape(message, quote=False)
            raise gr.Error(text, print_exception=False) from error

    with (
        gr.Blocks(title="fgaseg_d2", analytics_enabled=False, delete_cache=(_KEPT, _KEPT)) as app,
        gr.Row(),
    ):
        with gr.Column():
            # The file itself, so that it is read as everywhere in this package.
            picture = gr.Image(type="filepath", image_mode=None, label="picture")
            words = gr.Textbox(
                label="words", placeholder="red house,tree|pine,sky", max_lines=1,
                info="a comma separates classes, a bar words for the same class",
            )  # fmt: skip
            model = gr.Dropdown(page.models, value=page.models[0], label="model")
            button = gr.Button("Segment", variant="primary")
        with gr.Column():
            outputs = [
                gr.Textbox(label="before you trust it", lines=2, interactive=False),
                gr.Image(format="png", label="overlay", interactive=False),
                gr.Dataframe(headers=["word", "% of the pixels"], interactive=False),
                gr.File(label="files", file_count="multiple", interactive=False),
            ]
        gr.on(
            *([button.click, words.submit], answer, [picture, words, model], outputs),
            api_name="segment",
            concurrency_limit=1,
        )
    return app
