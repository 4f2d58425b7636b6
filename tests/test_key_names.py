"""Errors of parts: they name arguments, and keys where a configuration built the part."""

import ast
import re
from pathlib import Path

import pytest
from detectron2.modeling import build_backbone, build_sem_seg_head

from fgaseg_d2.config.key_names import built_from_keys, keys_of
from fgaseg_d2.methods.dense_clip.head import DenseCLIPHead
from fgaseg_d2.methods.fgaseg.aggregation import Fusion
from fgaseg_d2.methods.fgaseg.p2tformer import P2Tformer
from fgaseg_d2.modeling.inference.protocols import make_protocol
from fgaseg_d2.modeling.text.templates import resolve_templates
from fgaseg_d2.modeling.towers.loading import PretrainedWeightsError, load_clip
from tests.conftest import ROOT, build_small, config

METHODS = ("FGASeg", "DenseCLIP", "LDVC")


@pytest.mark.parametrize(
    ("message", "build"),
    [
        ("`heads` to divide CLIP's 10 channels, got 4", lambda: P2Tformer(10, heads=4)),
        ("`mode` 'cat' or 'add', got 'mul'", lambda: Fusion(8, "mul")),
        ("`logit_scale` above 0", lambda: DenseCLIPHead(logit_scale=-1.0)),
        ("`image_size` to be .* got .30, 32.", lambda: make_protocol((30, 32), 8, None)),
        (
            "`sliding_window` with pairs .* stride .8, 8., size .16, 16., canvas .8, 8.",
            lambda: make_protocol((32, 32), 8, ((8, 8), (16, 16), (8, 8))),
        ),
        ("`name` to be a model", lambda: load_clip("ViT-B16", "")),
        ("`pretrained` to be a checkpoint", lambda: load_clip("ViT-B-16", "no/such.pt")),
        ("`templates` to be 'single'", lambda: resolve_templates("nothing.txt")),
    ],
    ids=("heads", "mode", "scale", "size", "windows", "name", "pretrained", "templates"),
)
def test_whoever_calls_a_part_reads_of_its_arguments(message, build):
    with pytest.raises((ValueError, FileNotFoundError), match=f"expected {message}") as found:
        build()
    assert not re.search(r"[A-Z]+\.[A-Z]", str(found.value))


def small():
    return config("tests/data/small.yaml")


def tower(cfg):
    return build_backbone(cfg)


def head(cfg):
    return build_sem_seg_head(cfg, build_backbone(cfg).output_shape())


@pytest.mark.parametrize(
    ("build", "key", "value"),
    [
        # Built by themselves, as Detectron2 allows: no check of the configuration comes before.
        (head, "MODEL.FGASEG.P2T.HEADS", 7),
        (head, "MODEL.FGASEG.ATTENTION_HEADS", 7),
        (head, "MODEL.FGASEG.WINDOW_SIZE", 1),
        (head, "MODEL.FGASEG.LCS.KERNEL_SIZE", 2),
        (head, "MODEL.FGASEG.FUSION", "mul"),
        (head, "MODEL.FGASEG.MAX_CLASSES", 0),
        (head, "MODEL.FGASEG.KEEP_CLASSES", -1),
        (tower, "MODEL.CLIP.NAME", "ViT-B16"),
        (tower, "MODEL.CLIP.PRETRAINED", "no/such.pt"),
        (tower, "MODEL.CLIP.DENSE_READING", "gem"),
        (tower, "MODEL.CLIP.GUIDANCE_BLOCKS", [0, 40]),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", None),
)
def test_whoever_writes_a_configuration_reads_of_its_keys(build, key, value):
    cfg = small()
    node, _, name = key.rpartition(".")
    part = cfg
    for step in node.split("."):
        part = part[step]
    part[name] = value
    with pytest.raises((ValueError, FileNotFoundError), match=rf"expected .*{key}\b") as found:
        build(cfg)
    assert "`" not in str(found.value) and "\n" not in str(found.value)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_names_the_keys_of_what_it_shares(method):
    arguments = ("MODEL.META_ARCHITECTURE", method, "MODEL.CLIP.IMAGE_SIZE", [30, 32])
    with pytest.raises(ValueError, match="expected MODEL.CLIP.IMAGE_SIZE to be a height and"):
        build_small(*arguments)


def test_prompts_that_are_not_there_name_their_keys():
    with pytest.raises(ValueError, match="set MODEL.CLIP.PROMPT_LENGTH and MODEL.CLIP.PROMPT_DEP"):
        build_small("MODEL.CLIP.FINETUNE", "prompt")


def test_an_error_keeps_its_type_and_what_has_no_key_its_name():
    error = PretrainedWeightsError("set `name` or `other`, got `name`")
    error.add_note("noted")
    with pytest.raises(PretrainedWeightsError) as found, keys_of(name="A.B"):
        raise error
    assert found.value is error and str(error) == "set A.B or `other`, got A.B"
    assert error.__notes__ == ["noted"]
    with pytest.raises(FileNotFoundError, match="No such file") as found, keys_of(name="A.B"):
        Path("/no/such/`name`").read_bytes()
    assert found.value.filename == "/no/such/`name`"


def test_an_inner_part_names_its_keys_before_an_outer_one():
    with pytest.raises(ValueError, match="^A.HEADS beside B.WIDTH$"):  # noqa: SIM117
        with keys_of(heads="B.HEADS", width="B.WIDTH"):
            with keys_of(heads="A.HEADS"):
                raise ValueError("`heads` beside `width`")


def test_a_constructor_without_a_configuration_stays_as_it_is():
    class Part:
        @built_from_keys(size="A.SIZE")
        def __init__(self, cfg=None, *, size=1):
            if size < 1:
                raise ValueError(f"expected `size` of 1 or more, got {size}")

    with pytest.raises(ValueError, match="^expected `size` of"):
        Part(size=0)
    with pytest.raises(ValueError, match=r"^expected A\.SIZE of"):
        Part(cfg=small(), size=0)


# What tells whoever has a checkpoint, words or segments what to change is no error of a part.
REMEDIES = {
    "modeling/samples.py",
    "modeling/segmentor.py",
    "methods/clip_pretraining/meta_arch.py",
    "methods/fgaseg/catseg.py",
    "methods/fgaseg/formats.py",
    "methods/mgca/units.py",
    "modeling/inference/segment_scores.py",
    "modeling/proposals/proposing.py",
}


def test_no_part_names_a_key_in_its_errors():
    found = set()
    for folder in ("modeling", "methods"):
        for path in sorted((ROOT / "fgaseg_d2" / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            reads = [
                range(node.lineno, node.end_lineno + 1)
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef) and "config" in node.name
            ]
            for node in ast.walk(tree):
                if not isinstance(node, ast.Raise) or any(node.lineno in lines for lines in reads):
                    continue
                if re.search(r"\b(MODEL|TEST|SOLVER|DATASETS|INPUT)\.[A-Z]", ast.unparse(node)):
                    found.add(path.relative_to(ROOT / "fgaseg_d2").as_posix())
    assert found <= REMEDIES
