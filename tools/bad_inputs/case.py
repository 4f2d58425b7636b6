"""What one bad input is: a thing that was drawn, and the public door that it is given to."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from bad_inputs.material import Material


@dataclass(frozen=True)
class Case:
    """One input and its door.

    Attributes:
        text: what is wrong with it, in one line.
        door: gives the input to a public function. Returns None, or a program's exit code; raises
            what that function raises, and AssertionError where it accepts and gives nonsense.
    """

    text: str
    door: Callable[[], int | None]


@dataclass(frozen=True)
class Draw:
    """What a recipe makes an input from.

    Attributes:
        rng: the input's own random numbers.
        folder: an empty folder of its own, the working directory of its process.
        material: what all inputs share; not to be changed.
    """

    rng: random.Random
    folder: Path
    material: Material

    def write(self, name: str, data: bytes | str) -> Path:
        """Write a file into the folder; returns its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogatepass")
        path.write_bytes(data)
        return path


Recipe: TypeAlias = Callable[[Draw], Case]
Recipes: TypeAlias = Mapping[str, Recipe]


def draw_case(recipes: Recipes, number: int, draw: Draw) -> Case:
    """The input of a number: recipes take turns, so that each gets its share."""
    name = list(recipes)[number % len(recipes)]
    case = recipes[name](draw)
    return Case(f"{name}: {case.text}", case.door)
