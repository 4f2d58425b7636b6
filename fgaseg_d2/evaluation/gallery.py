"""Pages of pictures beside truth and prediction: one HTML file, or one large picture."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image, ImageDraw, ImageFont

from ..data.dataset_files import read_dataset_picture
from ..data.labels import LabelSpec, tagged_label_size
from ..data.pair_sizes import Found, check_pair
from ..drawing.legend import LegendEntry, add_legend
from ..drawing.overlay import draw_overlay
from ..vocabulary.colors import default_colors
from .predictions import SavedPredictions
from .worst import Counts, read_pair

PANELS = ("picture", "truth", "prediction", "errors")
_RIGHT, _MISSED, _WRONG = (120, 178, 133), (214, 69, 65), (242, 169, 59)
_STYLE = """
body{margin:2rem auto;padding:0 1.5rem;max-width:90rem;color:#212529;background:#fff;
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2.6rem 0 .2rem}
p{margin:.2rem 0;color:#495057}table{border-collapse:collapse;margin:1.2rem 0}
th,td{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #e9ecef}
td.n,th.n{text-align:right}a{color:inherit}
.row{display:grid;grid-template-columns:repeat(4,1fr);gap:.6rem;margin:.9rem 0 .2rem}
figure{margin:0}figcaption{font-size:.8rem;color:#868e96}
img{width:100%;display:block;border-radius:3px}
.legend{font-size:.85rem;color:#495057;margin-bottom:1.4rem}
.legend span{margin-right:1.1rem;white-space:nowrap}
i{display:inline-block;width:.85em;height:.85em;border-radius:3px;margin-right:.35em;
 vertical-align:-.05em;border:1px solid #0002}
"""


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading with some pictures below.

    Attributes:
        title, text: what it is about.
        pictures: positions in the counts.
        index: the class whose errors are marked; None marks those of all classes.
    """

    title: str
    text: str
    pictures: Sequence[int]
    index: int | None = None


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Draws the pictures of sections.

    Attributes:
        saved: the predictions.
        counts: of their pixels.
        colors: K x 3, uint8, RGB.
        size: longer side of a panel in pixels.
    """

    saved: SavedPredictions
    counts: Counts
    colors: np.ndarray
    size: int = 480

    def sections(self, classes: Sequence[int], pictures: int, sample: int) -> list[Section]:
        """The classes with the pictures that cost them most, then a sample of all pictures.

        Args:
            classes: in their order on the page.
            pictures: of each class, at most.
            sample: pictures spread evenly over the test set, at most.
        """
        names, iou = self.saved.truth.labels.classes, self.counts.iou
        sections = []
        for index in classes:
            taken = ", ".join(
                f"{names[other]} ({share:.0%})" for other, share in self.counts.taken_for(index)
            )
            text = f"IoU {_percent(iou[index])}" + (f"; taken for {taken}" if taken else "")
            chosen = self.counts.costliest_pictures(index, pictures)
            sections.append(Section(names[index], text, chosen, index))
        total = len(self.counts.pictures)
        spread = sorted({round(at) for at in np.linspace(0, total - 1, min(sample, total))})
        if spread:
            text = f"{len(spread)} of {total} pictures, spread evenly"
            sections.append(Section("A sample of the test set", text, spread))
        return sections

    def html(self, sections: Sequence[Section]) -> Iterator[str]:
        """The page in parts; everything is inside, so that it needs no other file."""
        title = escape(f"{self.saved.truth.labels.dataset_name}: prediction beside truth")
        yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
        yield f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{escape(self.summary)}</p>"
        yield (
            f"<p>Errors: {_chip(_RIGHT)}right &ensp; {_chip(_MISSED)}missed &ensp; "
            f"{_chip(_WRONG)}wrongly taken for the class; in the sample red is wrong. Below each "
            "picture: the shares of truth &rarr; prediction.</p>"
        )
        yield from self._table(sections)
        for number, section in enumerate(sections):
            chip = "" if section.index is None else _chip(self.colors[section.index])
            yield f'<h2 id="s{number}">{chip}{escape(section.title)}</h2>'
            yield f"<p>{escape(section.text)}</p>"
            for position in section.pictures:
                yield from self._row(position, section.index)
        yield "</body></html>\n"

    @property
    def summary(self) -> str:
        """The figures of the whole test set in one line."""
        iou = self.counts.iou
        seen = iou[~np.isnan(iou)]
        mean = seen.mean() if len(seen) else np.nan
        return (
            f"mIoU {_percent(mean)} over the {len(seen)} of {len(iou)} classes that occur, "
            f"{_percent(self.counts.accuracy)} of the pixels right, "
            f"{len(self.counts.pictures)} pictures"
        )

    def sheet(self, sections: Sequence[Section]) -> np.ndarray:
        """All sections below each other in one picture, uint8, RGB."""
        width = 4 * self.size + 5 * 12
        strips = [_heading(self.saved.truth.labels.dataset_name, self.summary, width)]
        for section in sections:
            strips.append(_heading(section.title, section.text, width))
            for position in section.pictures:
                panels = self._panels(position, section.index)
                legend = [
                    LegendEntry(
                        self.saved.truth.labels.classes[index],
                        tuple(self.colors[index]),
                        max(truth, predicted),
                    )
                    for index, truth, predicted in self._shares(position)
                ]
                strips.append(
                    add_legend(np.hstack([_framed(p, self.size) for p in panels]), legend)
                )
        width = max(strip.shape[1] for strip in strips)
        return np.vstack([_padded(strip, 0, (0, width - strip.shape[1])) for strip in strips])

    def _table(self, sections: Sequence[Section]) -> Iterator[str]:
        share = self.counts.truth.sum(0) / max(1, self.counts.truth.sum())
        yield '<table><tr><th>class</th><th class="n">IoU</th><th class="n">share of the truth</th>'
        yield "</tr>"
        for number, section in enumerate(sections):
            if section.index is not None:
                yield (
                    f'<tr><td>{_chip(self.colors[section.index])}<a href="#s{number}">'
                    f'{escape(section.title)}</a></td><td class="n">'
                    f'{_percent(self.counts.iou[section.index])}</td><td class="n">'
                    f"{_percent(share[section.index])}</td></tr>"
                )
        yield "</table>"

    def _row(self, position: int, index: int | None) -> Iterator[str]:
        name = self.counts.pictures[position]
        yield '<div class="row">'
        for panel, title in zip(self._panels(position, index), PANELS, strict=True):
            caption = Path(name).name if title == "picture" else title
            yield (
                f'<figure><img loading="lazy" alt="{escape(title)}" src="{_data_url(panel)}">'
                f'<figcaption title="{escape(name)}">{escape(caption)}</figcaption></figure>'
            )
        yield '</div><div class="legend">'
        for other, truth, predicted in self._shares(position):
            class_name = escape(self.saved.truth.labels.classes[other])
            shares = f"{_percent(truth)} &rarr; {_percent(predicted)}"
            yield f"<span>{_chip(self.colors[other])}{class_name} {shares}</span>"
        yield "</div>"

    def _shares(self, position: int) -> list[tuple[int, float, float]]:
        """Classes of a picture with their shares of truth and prediction, largest first."""
        truth, predicted = self.counts.truth[position], self.counts.predicted[position]
        total = max(1, truth.sum())
        largest = np.argsort(-np.maximum(truth, predicted), kind="stable")
        return [
            (int(index), float(truth[index] / total), float(predicted[index] / total))
            for index in largest[:12]
            if truth[index] or predicted[index]
        ]

    def _panels(self, position: int, index: int | None) -> list[np.ndarray]:
        """Picture, truth, prediction and errors at the size of a panel, uint8, RGB."""
        name = self.counts.pictures[position]
        picture, tag = read_dataset_picture(name)
        truth, prediction = read_pair(self.saved, name)
        label = self.saved.truth.files[name]
        check_pair(Found(name, picture.shape[:2], tag), Found(label, *tagged_label_size(label)))
        ratio = self.size / max(truth.shape)
        size = (max(1, round(truth.shape[1] * ratio)), max(1, round(truth.shape[0] * ratio)))
        smooth = cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(picture, size, interpolation=smooth)
        truth, prediction = (
            cv2.resize(part, size, interpolation=cv2.INTER_NEAREST) for part in (truth, prediction)
        )
        ignore = self.saved.truth.labels.ignore_label
        names = self.saved.truth.labels.classes
        painted = [
            _fitted(
                draw_overlay(picture, part, names, self.colors, ignore_label=ignore, legend="none"),
                size,
            )
            for part in (truth, prediction)
        ]
        return [picture, *painted, _errors(picture, truth, prediction, ignore, index)]


def dataset_colors(labels: LabelSpec) -> np.ndarray:
    """The dataset's ``stuff_colors`` if it is registered here, otherwise colours of our own.

    Returns:
        K x 3, uint8, RGB.
    """
    if labels.dataset_name in DatasetCatalog:
        colors = MetadataCatalog.get(labels.dataset_name).get("stuff_colors")
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            found = np.array(colors, float)
            fits = found.shape == (len(labels.classes), 3)
            # Other projects also keep colours in 0 .. 1, or of things besides.
            if fits and (found == found.astype(np.uint8)).all() and found.max(initial=0) > 1:
                return found.astype(np.uint8)
    return default_colors(labels.classes)


def _errors(
    picture: np.ndarray, truth: np.ndarray, prediction: np.ndarray, ignore: int, index: int | None
) -> np.ndarray:
    """Mark over the pale picture what is wrong, of one class also what is right."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    marked = np.repeat((200 + grey // 5)[..., None], 3, -1).astype(np.uint8)
    known = truth != ignore
    wrong = known & (truth != prediction)
    if index is None:
        marked[wrong] = _MISSED
        return marked
    marked[known & (truth == index) & (prediction == index)] = _RIGHT
    marked[wrong & (truth == index)] = _MISSED
    marked[wrong & (prediction == index)] = _WRONG
    return marked


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f}%"


def _chip(color: Sequence[int]) -> str:
    return f'<i style="background:rgb({",".join(str(int(channel)) for channel in color)})"></i>'


def _data_url(picture: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _heading(title: str, text: str, width: int) -> np.ndarray:
    strip = Image.new("RGB", (width, 84), "white")
    draw = ImageDraw.Draw(strip)
    draw.text((12, 16), title, fill=(33, 37, 41), font=ImageFont.load_default(size=30))
    draw.text((12, 54), text, fill=(110, 117, 125), font=ImageFont.load_default(size=19))
    return np.asarray(strip)


def _fitted(overlay: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Undo what draw_overlay does to the size: a whole factor, and an even height and width."""
    width, height = size
    factor = max(1, overlay.shape[0] // height)
    overlay = overlay[: factor * height, : factor * width]
    return cv2.resize(overlay, size, interpolation=cv2.INTER_AREA)


def _framed(panel: np.ndarray, size: int) -> np.ndarray:
    """Put a panel into the middle of ``size`` columns, with a white frame."""
    left = (size - panel.shape[1]) // 2
    return _padded(panel, 6, (left + 12, size - panel.shape[1] - left))


def _padded(picture: np.ndarray, rows: int, columns: tuple[int, int]) -> np.ndarray:
    """Add white rows above and below, white columns left and right."""
    return np.pad(picture, ((rows, rows), columns, (0, 0)), constant_values=255)
