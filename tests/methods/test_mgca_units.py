"""Adaptive semantic units between pixels and groups."""

import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.image import grid_to_graph
from torch.nn import functional as F

from fgaseg_d2.io import extras
from fgaseg_d2.methods.mgca.units import SemanticUnits, find_units

GRID = (6, 5)


def maps_and_text(seed=0):
    """Smooth maps of two pictures at four times the grid, three texts, their cosines."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(2, 7, 3, 3, generator=generator)
    maps = F.interpolate(coarse, (24, 20), mode="bilinear")
    maps = F.normalize(maps + 0.1 * torch.randn(maps.shape, generator=generator), dim=1)
    text = F.normalize(torch.randn(3, 7, generator=generator), dim=1)
    return maps, text, torch.einsum("bchw,tc->bthw", maps, text)


@pytest.mark.parametrize("similarity", [0.3, 0.85, -1.0])
def test_scores_against_loops(similarity):
    maps, text, cosines = maps_and_text()
    found = SemanticUnits(similarity, least=4)(maps, cosines, text)
    pooled = F.avg_pool2d(maps, 4)
    for b in range(2):
        units = find_units(pooled[b].numpy(), similarity, 4)
        for unit in range(units.max() + 1):
            members = [
                (y, x) for y in range(24) for x in range(20) if units[y // 4, x // 4] == unit
            ]
            pixels = torch.stack([maps[b, :, y, x] for y, x in members])
            direction = F.normalize(pixels.mean(0), dim=0)
            alike = (pixels @ direction).mean()
            # The mean cosine to the mean's direction is the mean's length.
            torch.testing.assert_close(alike, pixels.mean(0).norm())
            for (y, x), p in zip(members, pixels, strict=True):
                wanted = alike * text @ direction + (1 - alike) * text @ p
                torch.testing.assert_close(found[b, :, y, x], wanted, atol=1e-5, rtol=1e-4)


def test_above_1_scores_are_those_of_pixels_exactly():
    maps, text, cosines = maps_and_text()
    assert torch.equal(SemanticUnits(1.01)(maps, cosines, text), cosines)


@pytest.mark.parametrize(("least", "similarity"), [(8, -1.0), (8, 0.85), (3, 0.5), (8, 0.999)])
def test_units_are_those_of_scikit_learn(least, similarity):
    pooled = F.avg_pool2d(maps_and_text()[0], 4)[0].numpy()
    found = find_units(pooled, similarity, least)
    points = pooled.reshape(7, -1).T

    def cluster(**how):
        tree = AgglomerativeClustering(
            metric="cosine", linkage="average", connectivity=grid_to_graph(*GRID), **how
        )
        return tree.fit(points).labels_

    labels = cluster(n_clusters=None, distance_threshold=1 - similarity)
    if labels.max() + 1 < least:
        labels = cluster(n_clusters=least)
    pairs = set(zip(labels.tolist(), found.flatten().tolist(), strict=True))
    assert len(pairs) == labels.max() + 1 == found.max() + 1
    assert found.max() + 1 >= least


def test_fewer_places_than_units_and_a_single_one():
    assert find_units(np.ones((3, 1, 1), np.float32), 0.5, 8).tolist() == [[0]]
    two = np.array([[[1.0, 0.9]], [[0.1, 0.2]]], np.float32)
    assert sorted(find_units(two, 0.5, 8).flatten().tolist()) == [0, 1]
    assert find_units(two, 0.5, 1).flatten().tolist() == [0, 0]


def test_without_scikit_learn_units_say_how_to_get_it(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name, name="sklearn")

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'fgaseg_d2\[mgca\]'"):
        SemanticUnits(0.85)
    SemanticUnits(2.0)
