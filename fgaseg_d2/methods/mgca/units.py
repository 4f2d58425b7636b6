"""Adaptive semantic units: pixels are scored with the pixels that are like them around.

Letters: B pictures, T text entries, C channels, H W pixels of the embeddings, h w token grid, N = h
w places, U units.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...io.extras import import_extra
from .decoder import ENLARGED


class SemanticUnits(nn.Module):
    """Scores between those of pixels and those of groups, the more a group is alike the more its.

    Neighbouring places become units as long as they are alike. The score of a pixel in a unit of
    mean direction u is a (u . t) + (1 - a) (p . t), with a the mean cosine of the unit's pixels to
    u.

    Args:
        similarity: cosine, on average over the pixels of two neighbouring units, above which they
            become one. Above 1 there are no units: a pixel's own score.
        least: units of a picture at least; with a similarity of -1 there are so many.

    Raises:
        ImportError: there are units, and scikit-learn is not installed.
    """

    def __init__(self, similarity: float = 0.85, least: int = 8) -> None:
        super().__init__()
        self.similarity, self.least = similarity, least
        if similarity <= 1:
            import_extra("sklearn.cluster", "mgca")

    def forward(self, maps: Tensor, cosines: Tensor, text: Tensor) -> Tensor:
        """Score.

        Args:
            maps: p, B x C x H x W, unit norm over C.
            cosines: p . t, B x T x H x W.
            text: T x C, unit norm.

        Returns:
            B x T x H x W.

        Raises:
            ValueError: there are units, and the model is being recorded.
        """
        if self.similarity > 1:
            return cosines
        if torch.jit.is_tracing():
            raise ValueError(
                "expected a model without units to record, got one that makes them anew of each "
                "picture; set MODEL.MGCA.UNITS.SIMILARITY above 1."
            )
        pooled = F.avg_pool2d(maps, ENLARGED)
        return torch.stack([self._score(p, c, text) for p, c in zip(pooled, cosines, strict=True)])

    def _score(self, pooled: Tensor, cosines: Tensor, text: Tensor) -> Tensor:
        """One picture: C x h x w and T x H x W -> T x H x W."""
        units = torch.from_numpy(
            find_units(pooled.detach().cpu().numpy(), self.similarity, self.least)
        )
        member = F.one_hot(units.flatten().to(pooled.device)).T.to(pooled.dtype)
        means = member @ pooled.flatten(1).T / member.sum(1, keepdim=True)
        # The mean cosine to the direction of a mean is the mean's length.
        alike, scores = means.norm(dim=1), text @ means.T
        for dim in (0, 1):
            units = units.repeat_interleave(ENLARGED, dim)
        units = units.to(pooled.device)
        return scores[:, units] + (1 - alike)[units] * cosines


def find_units(embeddings: np.ndarray, similarity: float, least: int) -> np.ndarray:
    """Join neighbouring places that are alike: agglomerative clustering, average linkage.

    Args:
        embeddings: C x h x w.
        similarity: of two units that become one, at least.
        least: units to leave at least.

    Returns:
        h x w, int64, numbers of units from 0.
    """
    cluster = import_extra("sklearn.cluster", "mgca")
    grids = import_extra("sklearn.feature_extraction.image", "mgca")
    channels, height, width = embeddings.shape
    if height * width == 1:
        return np.zeros((1, 1), np.int64)
    tree = cluster.AgglomerativeClustering(
        n_clusters=1,
        metric="cosine",
        linkage="average",
        connectivity=grids.grid_to_graph(height, width),
        compute_full_tree=True,
        compute_distances=True,
    ).fit(embeddings.reshape(channels, -1).T)
    units = cut_tree(tree.children_, tree.distances_, 1 - similarity, least)
    return units.reshape(height, width)


def cut_tree(
    children: np.ndarray, distances: np.ndarray, distance: float, least: int
) -> np.ndarray:
    """Undo the last joins of a tree.

    Args:
        children: (N - 1) x 2, the nodes that each join takes; below N they are places.
        distances: N - 1, of each join.
        distance: joins of this distance and more are undone, as many as there are.
        least: units to leave at least.

    Returns:
        N, the unit of each place, from 0.
    """
    places = len(children) + 1
    units = max(int((distances >= distance).sum()) + 1, min(least, places))
    node_of = np.arange(places + len(children))
    for join, pair in enumerate(children[: places - units]):
        node_of[pair] = places + join
    # A node's number is below that of the one that took it.
    for node in reversed(range(len(node_of))):
        node_of[node] = node_of[node_of[node]]
    return np.unique(node_of[:places], return_inverse=True)[1].astype(np.int64)
