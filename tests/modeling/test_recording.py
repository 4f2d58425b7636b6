"""Models that torch or Detectron2 record: traced to a file, counted, exported."""

import pytest
import torch
from detectron2.data import build_detection_test_loader
from detectron2.export import TracingAdapter
from detectron2.utils.analysis import FlopCountAnalysis, activation_count_operators
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fgaseg_d2.modeling.layers.linear import MLP
from tests import datasets
from tests.conftest import build_small, config

WORDS = ("MODEL.FGASEG.VOCABULARY", "cat|kitten,dog,sky,house,tree,road,sea,red car")
# Early rejection leaves another number of classes in each of the pictures below.
FAST = ("MODEL.FGASEG.FAST.ENABLED", True, "MODEL.FGASEG.FAST.KEEP", 1)
KEEP = ("MODEL.FGASEG.KEEP_CLASSES", 1)
WINDOW = (
    *("TEST.SLIDING_WINDOW.ENABLED", True, "TEST.SLIDING_WINDOW.CANVAS", [96, 96]),
    *("TEST.SLIDING_WINDOW.SIZE", [64, 64], "TEST.SLIDING_WINDOW.STRIDE", [32, 32]),
)

PROXY = (
    *("MODEL.META_ARCHITECTURE", "DenseCLIP", "MODEL.CLIP.DENSE_READING", "proxyclip"),
    *("MODEL.DENSE_CLIP.PROXY.NAME", "test_vit"),
)


def picture(height, width, seed=0):
    """Soft coloured clouds, 3 x height x width."""
    generator = torch.Generator().manual_seed(height * width + seed)
    clouds = torch.rand(1, 3, 6, 6, generator=generator) * 255
    return F.interpolate(clouds, (height, width))[0]


def ask_for(output):
    """What TracingAdapter calls: the model, asked for an output."""
    return lambda model, inputs: model([{**item, "output": output} for item in inputs])


def traced(model, output, path, check):
    """The model traced on one picture, written to a file and read again.

    torch's check traces it once more; what it asks is asked below, at that and at other sizes.
    """
    adapter = TracingAdapter(model, [{"image": picture(100, 80)}], ask_for(output))
    with torch.no_grad():
        torch.jit.trace(adapter, adapter.flattened_inputs, check_trace=check).save(path)
    return torch.jit.load(path), adapter.outputs_schema


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("opts", "output"),
    [
        ((), "scores"),
        ((), "labels"),
        (WINDOW, "scores"),
        (FAST, "scores"),
        ((*KEEP, "MODEL.FGASEG.MAX_CLASSES", 2), "canvas"),
        (("MODEL.FGASEG.MAX_CLASSES", 4, "MODEL.FGASEG.P2T.LAYERS", 0), "scores"),
        ((*FAST, *KEEP, *WINDOW), "labels"),
        (("MODEL.SEM_SEG_HEAD.NAME", "DenseCLIPHead", "MODEL.FGASEG.LOSS.MAIN", "ce"), "scores"),
        (("MODEL.CLIP.DENSE_READING", "naclip", "TEST.AMP_DTYPE", "bfloat16"), "canvas"),
        (PROXY, "scores"),
    ],
)
def test_traced_model_agrees_at_other_sizes(tmp_path, opts, output):
    model = build_small(*WORDS, *opts)
    check = (opts, output) == ((), "scores")
    again, schema = traced(model, output, tmp_path / "model.pt", check=check)
    for height, width, seed in [(100, 80, 0), (64, 200, 1), (333, 50, 2), (40, 40, 3), (70, 71, 4)]:
        image = picture(height, width, seed)
        with torch.no_grad():
            (expected,) = ask_for(output)(model, [{"image": image}])
            (actual,) = schema(again(image))
        assert expected.keys() == actual.keys()
        for name, maps in expected.items():
            if name == "labels":
                # Where two scores differ by rounding alone, either class may win.
                assert (actual[name] != maps).float().mean() < 1e-3
            else:
                torch.testing.assert_close(actual[name], maps, atol=5e-6, rtol=0)


def test_number_of_classes_that_early_rejection_leaves_depends_on_the_picture():
    """Otherwise the tracing of it above shows nothing."""
    model, left = build_small(*WORDS, *FAST), set()
    model.sem_seg_head.register_forward_hook(
        lambda head, arguments, maps: left.add(int((maps["logits"] > -100).any((2, 3)).sum()))
    )
    with torch.no_grad():
        for height, width, seed in [(100, 80, 0), (64, 200, 1), (333, 50, 2), (40, 40, 3)]:
            model([{"image": picture(height, width, seed)}])
    assert len(left) > 1


def test_operations_are_counted_as_analyze_model_does(tmp_path):
    """By hand: the first layer of a CLIP block's MLP, once for each of its 65 tokens."""
    cfg = config("tests/data/small.yaml", *WORDS, "INPUT.MIN_SIZE_TEST", 48)
    model = build_small(*WORDS)
    with datasets.registered("counted", datasets.write_blocks(tmp_path, count=1)):
        (inputs,) = build_detection_test_loader(cfg, "counted", num_workers=0)
    first = FlopCountAnalysis(model, inputs)
    layer = model.backbone.visual.transformer.resblocks[0].mlp.c_fc
    counted = first.by_module()["model.backbone.visual.transformer.resblocks.0.mlp.c_fc"]
    assert counted == 65 * layer.in_features * layer.out_features
    with torch.no_grad():
        model(inputs)
        assert FlopCountAnalysis(model, inputs).total() == first.total()
        assert activation_count_operators(model, inputs)["conv"] > 0


@pytest.mark.parametrize("gradients", [True, False])
def test_operations_are_counted_by_torch(gradients):
    layer, x = MLP(6, "gelu"), torch.randn(5, 6)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(gradients):
        layer(x)
    assert counter.get_total_flops() == 2 * (2 * 5 * 6 * 24)


def test_operations_of_the_whole_model_are_counted_by_torch(small):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        small([{"image": picture(48, 64), "vocabulary": "cat,dog"}])
    assert counter.get_flop_counts()["Global"][torch.ops.mkldnn._linear_pointwise] > 0


def test_backbone_and_head_are_exported(small):
    images = picture(64, 64)[None]
    with torch.no_grad():
        text = small.text_encoder((("cat",), ("dog",)))
        features = small.backbone(images)
        backbone = torch.export.export(small.backbone, (images,)).module()
        head = torch.export.export(small.sem_seg_head, (features, text)).module()
        expected = small.sem_seg_head(features, text)["logits"]
        actual = head(backbone(images), text)["logits"]
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)
