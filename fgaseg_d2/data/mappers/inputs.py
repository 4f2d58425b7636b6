"""An RGB picture -> what the model sees: one way for predictor, evaluation and training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import detectron2.data.transforms as T
import numpy as np
import torch
from detectron2.config import CfgNode

from .cropping import ResizedCrop
from .resizing import ResizeShortestEdge

Step: TypeAlias = T.Augmentation | T.Transform

# Near CLIP's mean colour, so that padding is hardly seen after normalisation.
_PAD_COLOR = 114


class PictureInput:
    """Orders the channels as INPUT.FORMAT says, and resizes or augments.

    Args:
        augmentations: applied in this order.
        image_format: channel order of the result, "RGB" or "BGR".
    """

    def __init__(self, augmentations: Sequence[Step], image_format: str) -> None:
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format

    @classmethod
    def for_testing(cls, cfg: CfgNode) -> PictureInput:
        """As INPUT says for pictures that are segmented.

        Args:
            cfg: INPUT is used.
        """
        return cls(evaluation_augmentations(cfg), cfg.INPUT.FORMAT)

    def __call__(self, picture: np.ndarray) -> torch.Tensor:
        """H x W x 3 uint8 in RGB -> 3 x H' x W' uint8, as "image" of a sample."""
        data = T.AugInput(self._ordered(picture))
        self.augmentations(data)
        return _tensor(data.image)

    def with_labels(
        self, picture: np.ndarray, label: np.ndarray, *others: np.ndarray
    ) -> tuple[torch.Tensor, ...]:
        """As a call, with label maps transformed alike.

        Args:
            picture: H x W x 3 uint8 in RGB.
            label: H x W of uint8, int32 or float32; decides which crops are good.
            others: further ones.

        Returns:
            The picture, and the label maps as H' x W' int64.
        """
        data = T.AugInput(self._ordered(picture), sem_seg=label)
        transforms = self.augmentations(data)
        maps = (data.sem_seg, *map(transforms.apply_segmentation, others))
        return _tensor(data.image), *(torch.from_numpy(one.astype(np.int64)) for one in maps)

    def _ordered(self, picture: np.ndarray) -> np.ndarray:
        return picture[:, :, ::-1] if self.image_format == "BGR" else picture


def _tensor(image: np.ndarray) -> torch.Tensor:
    # A copy, because the picture may be one that the caller keeps.
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))


def evaluation_augmentations(cfg: CfgNode) -> list[Step]:
    """Build the resizing of INPUT.MIN_SIZE_TEST (0 for none) and MAX_SIZE_TEST.

    Args:
        cfg: only INPUT is used.
    """
    sizes = cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST
    return [ResizeShortestEdge(*sizes, sample_style="choice")]


def train_augmentations(cfg: CfgNode, ignore_value: int | None = None) -> list[Step]:
    """Build resize, crop, colour change, flip and padding as INPUT says.

    Args:
        cfg: only INPUT is used. Crops of INPUT.CROP.TYPE "absolute" are padded to the crop size, so
            that all samples have one size. Those of "resized" are cut out of the picture as it is
            and made the crop size.
        ignore_value: value of ignored and padded pixels of the label; None for pictures without
            one, of which no crop is drawn again.
    """
    crop = cfg.INPUT.CROP
    augmentations = _resizing_and_crop(cfg, ignore_value)
    if cfg.INPUT.COLOR_AUG_SSD:
        # Imported here because it registers PointRend's models as well.
        from detectron2.projects.point_rend import ColorAugSSDTransform

        augmentations.append(ColorAugSSDTransform(img_format=cfg.INPUT.FORMAT))
    if cfg.INPUT.RANDOM_FLIP != "none":
        augmentations.append(
            T.RandomFlip(
                horizontal=cfg.INPUT.RANDOM_FLIP == "horizontal",
                vertical=cfg.INPUT.RANDOM_FLIP == "vertical",
            )
        )
    if crop.ENABLED and crop.TYPE == "absolute":
        augmentations.append(
            T.FixedSizeCrop(
                crop.SIZE, pad=True, pad_value=_PAD_COLOR, seg_pad_value=ignore_value or 0
            )
        )
    return augmentations


def _resizing_and_crop(cfg: CfgNode, ignore_value: int | None) -> list[Step]:
    crop = cfg.INPUT.CROP
    if crop.ENABLED and crop.TYPE == "resized":
        largest = crop.SINGLE_CATEGORY_MAX_AREA
        return [ResizedCrop(crop.SIZE, crop.AREA, class_area=largest, ignore_value=ignore_value)]
    resizing = ResizeShortestEdge(
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
    )
    if not crop.ENABLED:
        return [resizing]
    if ignore_value is None:
        return [resizing, T.RandomCrop(crop.TYPE, crop.SIZE)]
    return [
        resizing,
        T.RandomCrop_CategoryAreaConstraint(
            crop.TYPE, crop.SIZE, crop.SINGLE_CATEGORY_MAX_AREA, ignore_value
        ),
    ]
