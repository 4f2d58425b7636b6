"""A segmentation with the maps that it was made of: where each word may be, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from torch.nn import functional as F

from ..drawing.contact_sheet import Column, draw_contact_sheet
from ..drawing.legend import LegendEntry
from ..drawing.route_panels import PointPanels, RoutePanel
from ..modeling.inference.geometry import WHOLE, Box
from ..modeling.routes import Routes
from ..vocabulary.colors import default_colors
from ..wording import few, shown
from .point_routes import Point, PointRoutes, check_point, routes_of_point
from .segmentation import Segmentation

_REJECTED = 1e-30  # the head gives classes that it drops the logit -100
# Heading and explanation of a column; maps of another name are a method's own masks.
_TITLES = {
    "gcs": ("GCS", "cosine of word and pixels"),
    "lcs": ("LCS", "convolution made of the word"),
}
_FINAL_SIDE = 512  # pixels of a final map on a sheet, at most


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Explanation(Segmentation):
    """What :meth:`OpenVocabPredictor.explain` finds: a segmentation and its pseudo-masks.

    ``scores`` and ``labels`` are the final maps. Letters: T entries of the vocabulary (synonyms and
    background words apart, see ``Vocabulary.entries``), K classes, h w the model's token grid,
    which covers the whole picture, whatever its shape.

    Args:
        maps: the pseudo-masks that the method has, by name, each T x h x w, float32, NaN for
            entries that the head did not keep.
        routes: which windows of tokens each window attends to, by layer, in the order of the
            layers; empty for a method without. :meth:`routes_at` has them in pixels.
        views: what the views of the routes show, in fractions of the picture's width and height.
    """

    maps: Mapping[str, np.ndarray]
    routes: Mapping[str, Routes] = dataclasses.field(default_factory=dict)
    views: Sequence[Box] = (WHOLE,)

    @property
    def gcs(self) -> np.ndarray | None:
        """Global similarity, T x h x w, float32: the cosine of word and token in [-1, 1]."""
        return self.maps.get("gcs")

    @property
    def lcs(self) -> np.ndarray | None:
        """Local similarity, T x h x w, float32, any real number; None for a model without LCS.

        The unit-norm tokens under a convolution made of the word.
        """
        return self.maps.get("lcs")

    def class_maps(self, kind: str) -> np.ndarray:
        """Largest similarity of each class's entries, as a class scores as its best entry.

        Returns:
            K x h x w, float32; NaN where no entry of a class has a map.

        Raises:
            ValueError: the model has no such maps.
        """
        entries = self.maps.get(kind)
        if entries is None:
            raise ValueError(
                f"expected maps that this model has, got {shown(kind)}; take one of "
                f"{few(map(repr, self.maps))}"
            )
        maps = np.full((len(self.class_names), *entries.shape[1:]), np.nan, np.float32)
        for entry, index in zip(entries, self.vocabulary.entry_classes, strict=True):
            np.fmax(maps[index], entry, out=maps[index])
        return maps

    @cached_property
    def areas(self) -> np.ndarray:
        """Share of the pixels, in [0, 1], of each of the K classes."""
        return np.bincount(self.labels.ravel(), minlength=len(self.class_names)) / self.labels.size

    def ranking(self) -> list[int]:
        """Class indices by area, largest first; those without a pixel by their highest score."""
        peaks = self.scores.amax((1, 2)).tolist()
        return sorted(range(len(peaks)), key=lambda index: (-self.areas[index], -peaks[index]))

    @property
    def middle(self) -> Point:
        """The pixel in the middle: column and row."""
        height, width = self.labels.shape
        return width // 2, height // 2

    def routes_at(self, x: int, y: int) -> dict[str, PointRoutes]:
        """Where a pixel looks: its window of tokens and those that this attends to, by layer.

        Where sliding windows overlap, in the one in whose middle the pixel lies most.

        Args:
            x, y: column and row of the picture, from 0.

        Raises:
            ValueError: the point is outside the picture, or the model has no routes.
        """
        height, width = self.labels.shape
        if not self.routes:
            raise ValueError(
                f"expected a model with routes from a point, got one without for {shown(x)},"
                f"{shown(y)}; give no point, or take a method that has them, such as LDVC"
            )
        check_point((x, y), width, height)
        return routes_of_point(self.routes, self.views, (x, y), (width, height))

    def sheet(self, words: int = 12, point: Point | None = None) -> np.ndarray:
        """Draw the contact sheet: picture, result, and the maps of the words with most pixels.

        A model with routes has those of a point above the maps.

        Args:
            words: rows at most, from 1.
            point: column and row of the pixel whose routes are drawn; None: :attr:`middle`.

        Returns:
            A picture, uint8, RGB.

        Raises:
            ValueError: ``words`` below 1, or a point as in :meth:`routes_at`.
        """
        if words < 1:
            raise ValueError(f"expected 1 word or more on a sheet, got {words}; choose such as 12")
        chosen = self.ranking()[:words]
        colors = default_colors(self.class_names)
        rows = [
            LegendEntry(self.class_names[k], tuple(colors[k]), float(self.areas[k])) for k in chosen
        ]
        total = len(self.class_names)
        text = f"{total} words" if total > 1 else "1 word"
        if len(chosen) < total:
            text = f"the {len(chosen)} of {total} words with most pixels"
        if self.gcs is not None and self.lcs is None:
            text += "; no LCS in this model"
        title = Path(self.source).name or "picture"
        return draw_contact_sheet(
            self.image,
            self.labels,
            colors,
            heading=(title, text),
            rows=rows,
            columns=self._columns(chosen),
            routes=self._panels(point),
        )

    def _panels(self, point: Point | None) -> PointPanels | None:
        """The routes of a point as a sheet draws them."""
        if point is None and not self.routes:
            return None
        point = self.middle if point is None else point
        return PointPanels(
            point,
            [
                RoutePanel(
                    title=name,
                    note=f"{len(layer.chosen)} of {layer.windows} windows",
                    window=layer.window,
                    chosen=layer.chosen,
                    view=layer.view,
                )
                for name, layer in self.routes_at(*point).items()
            ],
        )

    def _columns(self, chosen: list[int]) -> list[Column]:
        """The columns of a sheet; instead of a map that is not there stands why."""
        columns = [
            Column(*_TITLES.get(kind, (kind, "probability")), self._similarities(kind, chosen))
            for kind in self.maps
        ]
        final = [self._final(index) for index in chosen]
        return [*columns, Column("Final", "probability", final)]

    def _similarities(self, kind: str, chosen: list[int]) -> list[np.ndarray | str]:
        maps, with_entry = self.class_maps(kind), set(self.vocabulary.entry_classes)
        missing = ("no word" if index not in with_entry else "not kept" for index in chosen)
        return [
            reason if np.isnan(maps[index]).all() else maps[index]
            for index, reason in zip(chosen, missing, strict=True)
        ]

    def _final(self, index: int) -> np.ndarray | str:
        """A class's scores, no larger than a sheet needs."""
        scores = self.scores[index]
        ratio = min(1.0, _FINAL_SIDE / max(scores.shape))
        size = tuple(max(1, round(side * ratio)) for side in scores.shape)
        reduced = F.interpolate(scores[None, None].float(), size, mode="area")[0, 0].cpu().numpy()
        return reduced if reduced.max() > _REJECTED else "rejected"
