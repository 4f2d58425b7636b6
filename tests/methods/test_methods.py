"""Every method answers the questions of `MethodTester`."""

from tests.methods.tester import MethodTester, SegmentorTester


class TestFGASeg(SegmentorTester):
    """The plain variant."""


class TestFGASegFast(SegmentorTester):
    """Early rejection."""

    opts = ("MODEL.FGASEG.FAST.ENABLED", True, "MODEL.FGASEG.FAST.KEEP", 2)


class TestFGASegSliding(SegmentorTester):
    """Windows of a canvas, and the best classes only."""

    opts = (
        *("TEST.SLIDING_WINDOW.ENABLED", True, "TEST.SLIDING_WINDOW.CANVAS", [96, 96]),
        *("TEST.SLIDING_WINDOW.SIZE", [64, 64], "TEST.SLIDING_WINDOW.STRIDE", [32, 32]),
        *("MODEL.FGASEG.KEEP_CLASSES", 2),
    )


class TestFGASegWithCLIPsCosines(SegmentorTester):
    """The way of 0.1 to dense CLIP: FGASeg with another head."""

    opts = ("MODEL.SEM_SEG_HEAD.NAME", "DenseCLIPHead", "MODEL.FGASEG.LOSS.MAIN", "ce")


class TestDenseCLIP(SegmentorTester):
    """CLIP alone."""

    opts = ("MODEL.META_ARCHITECTURE", "DenseCLIP")


class TestCLIPPretraining(MethodTester):
    """CLIP's contrastive training."""

    opts = ("MODEL.META_ARCHITECTURE", "CLIPPretraining", "MODEL.CLIP.FINETUNE", "scratch")

    def training_batch(self):
        """Captions instead of labels, different ones."""
        return [
            {"image": item["image"], "caption": f"picture {index}"}
            for index, item in enumerate(super().training_batch())
        ]


class TestCLIPPretrainingByTokens(TestCLIPPretraining):
    """Captions are matched with places."""

    opts = (
        *TestCLIPPretraining.opts,
        *("MODEL.CLIP_PRETRAINING.MATCH", "tokens", "MODEL.CLIP.DENSE_READING", "clip"),
    )
