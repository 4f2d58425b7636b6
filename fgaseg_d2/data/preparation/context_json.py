"""Reads trainval_merged.json of PASCAL in Detail: pictures, their phases and their regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from ...io.json_files import read_json
from .raw_files import check_not_empty

_ADVICE = "download the file anew"


class ContextJson:
    """The merged annotations.

    Attributes:
        path: of the file.
        problems: entries that cannot be used, a line each.
        warnings: entries that fit nothing else in the file.
    """

    def __init__(self, path: Path):
        """Read the file.

        Args:
            path: JSON with "images" and "annos_segmentation".

        Raises:
            FileNotFoundError, ValueError: no such file, or another kind of file.
        """
        check_not_empty(path, "JSON file")
        try:
            content = read_json(path)
        except ValueError as error:
            raise ValueError(f"{path}: expected JSON, got an error ({error}); {_ADVICE}") from error
        self.path = path
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._images = self._usable_images(self._entries(content, "images"))
        self._annotations = self._grouped(self._entries(content, "annos_segmentation"))

    def stems(self, phase: str) -> list[str]:
        """Names of the pictures of a phase without ending, in the order of the file."""
        return [stem for stem, _, _ in self._of_phase(phase)]

    def regions(self, phase: str) -> dict[str, tuple[tuple[int, int], list[dict]]]:
        """By stem, height and width of each picture of a phase, and its annotations in order."""
        return {
            stem: (size, self._annotations.get(image_id, []))
            for stem, image_id, size in self._of_phase(phase)
        }

    def _of_phase(self, phase: str) -> list[tuple[str, Hashable, tuple[int, int]]]:
        return [
            (Path(image["file_name"]).stem, image["image_id"], (image["height"], image["width"]))
            for image in self._images
            if image["phase"] == phase
        ]

    def _entries(self, content: Any, key: str) -> list[dict]:
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise ValueError(f"{self.path}: expected a list {key!r}, got none; {_ADVICE}")
        usable = [entry for entry in entries if isinstance(entry, dict)]
        if len(usable) < len(entries):
            self.problems.append(f"{self.path}: {len(entries) - len(usable)} of {key} are no dicts")
        return usable

    def _usable_images(self, images: list[dict]) -> list[dict]:
        kinds: dict[str, type | tuple[type, ...]] = {
            "image_id": (int, str),
            "file_name": str,
            "phase": str,
            "height": int,
            "width": int,
        }
        complete = []
        for image in images:
            wrong = [key for key, kind in kinds.items() if not isinstance(image.get(key), kind)]
            if wrong:
                name = image.get("file_name", image.get("image_id", "a picture"))
                self.problems.append(f"{self.path}: {name} has no usable {', '.join(wrong)}")
            else:
                complete.append(image)
        repeated = set()
        for key in ("image_id", "file_name"):
            counts = Counter(image[key] for image in complete)
            for value, count in counts.items():
                if count > 1:
                    repeated.add((key, value))
                    self.problems.append(
                        f"{self.path}: {key} {value} occurs {count} times; {_ADVICE}"
                    )
        return [image for image in complete if repeated.isdisjoint(image.items())]

    def _grouped(self, annotations: list[dict]) -> dict[Hashable, list[dict]]:
        known = {image["image_id"] for image in self._images}
        groups: dict[Hashable, list[dict]] = {}
        strange = 0
        for annotation in annotations:
            image_id = annotation.get("image_id")
            if isinstance(image_id, (int, str)) and image_id in known:
                groups.setdefault(image_id, []).append(annotation)
            else:
                strange += 1
        if strange:
            self.warnings.append(
                f"{self.path}: {strange} annotations are of no usable picture in the file"
            )
        return groups
