"""Every value of a configuration is checked in one place, at every door: a run, or one line."""

import math

import pytest
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fgaseg_d2 import OpenVocabPredictor, add_fgaseg_config
from fgaseg_d2.config.checks import check_values
from fgaseg_d2.config.loading import load_config
from fgaseg_d2.config.values import RULES, leaves, value_of
from fgaseg_d2.engine import FGASegTrainer, testing
from fgaseg_d2.modeling.towers.base import TRAINING_MODES
from fgaseg_d2.modeling.towers.dense_reading import READINGS
from tests import datasets
from tests.conftest import config
from tests.engine import training
from tests.test_plain_files import one_line

# Values that were taken without a word or ended in a traceback, and others of their kinds.
WRONG = [
    ("SOLVER.MAX_ITER", 0, "whole number of 1 or more, got 0"),
    ("SOLVER.MAX_ITER", -5, "whole number of 1 or more, got -5"),
    ("SOLVER.MAX_ITER", 10**12, "whole number of 1 or more, got 1000000000000"),
    ("SOLVER.MAX_ITER", True, "of type int"),
    ("SOLVER.CHECKPOINT_PERIOD", 0, "1 or more, got 0"),
    ("SOLVER.WARMUP_ITERS", -5, "0 or more, got -5"),
    ("SOLVER.BASE_LR", 0.0, "above 0, got 0"),
    ("SOLVER.BASE_LR", math.nan, "above 0, got nan"),
    ("SOLVER.BASE_LR", "1e999", "above 0, got inf"),
    ("SOLVER.BASE_LR", 10**400, "above 0, got inf"),
    ("SOLVER.BASE_LR_END", 1.0, "SOLVER.BASE_LR_END of at most SOLVER.BASE_LR"),
    ("SOLVER.WEIGHT_DECAY_BIAS", "'much'", "None, or a number of 0 or more"),
    ("SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "norms", "'value', 'norm' or 'full_model'"),
    ("SOLVER.AMP.DTYPE", "int8", "'float16' or 'bfloat16'"),
    ("SOLVER.REFERENCE_WORLD_SIZE", 3, "multiple of SOLVER.REFERENCE_WORLD_SIZE 3"),
    ("SOLVER.IMS_PER_BATCH", -2, "1 or more, got -2"),
    ("INPUT.CROP.SIZE", [384], "INPUT.CROP.SIZE to be 2 values"),
    ("INPUT.CROP.SIZE", [0.5, 0.5], "a height and a width in pixels"),
    ("INPUT.CROP.SIZE", [0, 384], "got .0, 384."),
    ("INPUT.CROP.SIZE", "384", "of type list"),
    ("INPUT.CROP.AREA", [0, 1], "each a number above 0 and of at most 1"),
    ("INPUT.CROP.AREA", [0.5, 0.25], "the least and the greatest share of a picture's area"),
    ("INPUT.CROP.TYPE", "square", "'absolute', 'absolute_range'"),
    ("INPUT.MIN_SIZE_TRAIN", (0,), "whole number from 1 to 65536, got .0"),
    ("INPUT.MIN_SIZE_TRAIN", (), "list that is not empty"),
    ("INPUT.MIN_SIZE_TRAIN_SAMPLING", "range", "the least and the greatest size"),
    ("INPUT.MIN_SIZE_TEST", -1, "from 0 to 65536, got -1"),
    ("INPUT.MAX_SIZE_TEST", 0, "from 1 to 65536, got 0"),
    ("INPUT.FORMAT", "L", "'RGB' or 'BGR'"),
    ("INPUT.RANDOM_FLIP", "both", "'none', 'horizontal' or 'vertical'"),
    ("MODEL.SEM_SEG_HEAD.IGNORE_VALUE", -7, "from 0 to 65535, got -7"),
    ("MODEL.PIXEL_STD", [1, 1, 0], "3 values, each a number above 0"),
    ("MODEL.PIXEL_MEAN", ["a", 1, 1], "3 values, each a number"),
    ("MODEL.CLIP.TEXT_CACHE_SIZE", -1, "from 0 to 1048576, got -1"),
    ("MODEL.CLIP.NAME", "''", "to be a name"),
    ("MODEL.CLIP.GUIDANCE_BLOCKS", [1], "2 values"),
    ("MODEL.FGASEG.P2T.HEADS", 0, "from 1 to 8192, got 0"),
    ("MODEL.FGASEG.ATTENTION_HEADS", 0, "from 1 to 8192, got 0"),
    ("MODEL.FGASEG.LCS.KERNEL_SIZE", 4, "odd, got 4"),
    ("MODEL.FGASEG.POOLING_TRAIN", [0, 1], "got .0, 1."),
    ("MODEL.FGASEG.DECODER_DIMS", [56, 16], "groups of about 16 channels"),
    ("MODEL.FGASEG.DECODER_GUIDANCE_DIMS", [32, 8], "below HIDDEN_DIM"),
    ("MODEL.WORDS.VOCABULARY", "a\0b", "to be text"),
    ("DATASETS.TRAIN", (5,), "each a name, got .5"),
    ("DATASETS.TEST", ("",), "each a name"),
    ("DATASETS.FOLDERS", [5], "got .5"),
    ("DATASETS.TEST_VOCABULARIES", (5,), "got .5"),
    ("DATALOADER.NUM_WORKERS", -1, "from 0 to 1024, got -1"),
    ("TEST.AUG.MIN_SIZES", (), "not empty"),
    ("TEST.EXPECTED_RESULTS", [["sem_seg", "mIoU", 50]], "task, metric, value, tolerance"),
    ("TEST.SLIDING_WINDOW.SIZE", [384, 384, 384], "2 values"),
    ("TEST.MAX_VIEWS", 0, "1 or more, got 0"),
    ("OUTPUT_DIR", "''", "to be a name"),
    ("SEED", 2**32, "got 4294967296"),
]


def of_detectron2(key, value):
    """A configuration that Detectron2's own get_cfg made and somebody changed."""
    cfg = config("tests/data/small.yaml")
    *path, name = key.split(".")
    node = value_of(cfg, ".".join(path)) if path else cfg
    node[name] = value
    return cfg


@pytest.mark.parametrize(("key", "value", "reason"), WRONG)
def test_a_wrong_value_is_one_line(key, value, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        load_config(config("tests/data/small.yaml"), [key, value])
    assert key in str(caught.value) and one_line(caught.value)


@pytest.mark.parametrize(
    "door",
    [build_model, FGASegTrainer, OpenVocabPredictor, lambda cfg: testing.evaluate(cfg, None)],
)
@pytest.mark.parametrize(
    ("key", "value"),
    [("SOLVER.MAX_ITER", -5), ("MODEL.FGASEG.P2T.HEADS", 0), ("INPUT.MIN_SIZE_TRAIN", (0,))],
)
def test_every_door_checks(door, key, value):
    with pytest.raises(ValueError, match=f"expected {key} to be") as caught:
        door(of_detectron2(key, value))
    assert one_line(caught.value)


@pytest.mark.parametrize("door", [FGASegTrainer, OpenVocabPredictor])
@pytest.mark.parametrize(
    ("key", "name", "hint"),
    [
        ("MODEL.META_ARCHITECTURE", "FGASegg", "did you mean 'FGASeg'"),
        ("MODEL.META_ARCHITECTURE", "SemanticSegmentor", "the names are"),
        ("MODEL.BACKBONE.NAME", "build_resnet_backbone", "the names are CLIPResNet, CLIPViT"),
        ("MODEL.SEM_SEG_HEAD.NAME", "FGASegHed", "did you mean 'FGASegHead'"),
    ],
)
def test_unknown_parts_of_the_model(door, key, name, hint):
    with pytest.raises(ValueError, match=f"expected {key} to be .*'{name}'; {hint}") as caught:
        door(of_detectron2(key, name))
    assert one_line(caught.value)


def test_unknown_parts_inside_the_model():
    with pytest.raises(ValueError, match=r"expected MODEL\.BACKBONE\.NAME"):
        build_model(of_detectron2("MODEL.BACKBONE.NAME", "no such backbone"))


@pytest.mark.parametrize(
    "text",
    [
        "[{name: mine, shards: 'mine/{00000..00331}.tar'}]",
        "[{'name': 'mine', 'shards': 'mine/{00000..00331}.tar'}]",
    ],
)
def test_a_list_on_a_command_line_may_be_written_as_in_a_file(text):
    cfg = load_config("configs/mgca/cc3m.yaml", ["DATASETS.CAPTIONS", text])
    assert cfg.DATASETS.CAPTIONS == [{"name": "mine", "shards": "mine/{00000..00331}.tar"}]


@pytest.mark.parametrize("text", ["name: mine", "[{name: mine", "[!!python/name:os.system {}]"])
def test_what_is_no_list_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"^expected DATASETS\.CAPTIONS of type list, .* got "):
        load_config("configs/mgca/cc3m.yaml", ["DATASETS.CAPTIONS", text])


def test_a_scaled_configuration_is_checked(tmp_path):
    training.register_blocks(tmp_path)
    cfg = training.training_config(
        tmp_path,
        "SOLVER.REFERENCE_WORLD_SIZE",
        2,
        "SOLVER.IMS_PER_BATCH",
        2,
        "SOLVER.BASE_LR",
        1e300,
    )
    assert FGASegTrainer(cfg).max_iter == 8
    cfg.SOLVER.MAX_ITER = 2**31 - 1
    with pytest.raises(ValueError, match="REFERENCE_WORLD_SIZE 2 scales .* SOLVER.MAX_ITER"):
        FGASegTrainer(cfg)


def test_unknown_schedule(tmp_path):
    training.register_blocks(tmp_path)
    with pytest.raises(ValueError, match="LR_SCHEDULER_NAME to be one of WarmupCosineLR"):
        FGASegTrainer(training.training_config(tmp_path, "SOLVER.LR_SCHEDULER_NAME", "Cosine"))


def test_every_key_of_ours_has_a_rule_and_every_rule_a_key():
    plain, ours = get_cfg(), get_cfg()
    add_fgaseg_config(ours)
    known = {key for key, _ in leaves(ours)}
    assert known - {key for key, _ in leaves(plain)} <= set(RULES) <= known
    check_values(ours)


def test_choices_are_those_of_the_model():
    for key, choices in (
        ("MODEL.CLIP.DENSE_READING", READINGS),
        ("MODEL.CLIP.FINETUNE", TRAINING_MODES),
    ):
        assert all(RULES[key].allows(choice) for choice in choices)
        assert all(repr(choice) in RULES[key].expected for choice in choices)


def property_test(examples):
    """Settings under which a test draws the same values on every machine, however slow."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


NUMBERS = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([2**31, 10**30, -(2**40), 65535]),
    st.floats(-2, 2),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -0.0]),
)
SCALARS = st.one_of(NUMBERS, st.booleans(), st.none(), st.text(max_size=20))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    max_leaves=8,
)


def all_keys():
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    return [key for key, _ in leaves(cfg)]


@property_test(800)
@given(key=st.sampled_from(all_keys()), value=ANYTHING, as_text=st.booleans())
def test_any_value_of_any_key_is_taken_or_refused_in_one_line(key, value, as_text):
    try:
        load_config(PLAIN, [key, str(value) if as_text else value])
    except (ValueError, FileNotFoundError) as error:
        assert one_line(error), error


PLAIN = load_config("tiny", ["MODEL.WEIGHTS", ""])


def likely_values(key):
    """Values of a key's own type, around those that it may have."""
    default = value_of(PLAIN, key)
    words = [part.strip("'") for part in RULES[key].expected.replace(" or ", ", ").split(", ")]
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, str):
        return st.one_of(st.sampled_from([*words, default]), st.text(max_size=8))
    if isinstance(default, (list, tuple)):
        return st.lists(
            st.one_of(st.integers(0, 70), st.floats(0, 1), st.sampled_from(["blocks"])), max_size=4
        )
    return st.one_of(st.integers(-1, 9), st.integers(0, 70), st.floats(0, 1))


RUN = [
    key
    for key in sorted(RULES)
    # What takes as long as it says is not drawn.
    if key not in ("DATALOADER.NUM_WORKERS", "SOLVER.MAX_ITER", "OUTPUT_DIR", "MODEL.DEVICE")
]


@property_test(60)
@given(data=st.data())
def test_what_is_taken_runs(data, blocks):
    """Training for one step, with an evaluation behind it."""
    key = data.draw(st.sampled_from(RUN))
    value = data.draw(likely_values(key))
    run(key, value, blocks)


def run(key, value, folder):
    cfg = training.training_config(
        folder, *("SOLVER.MAX_ITER", 1, "DATASETS.TEST", ("blocks",), "TEST.MAX_PICTURES", 1)
    )
    try:
        cfg = load_config(cfg, [key, value])
        trainer = FGASegTrainer(cfg)
        trainer.resume_or_load(False)
        trainer.train()
    except (ValueError, OSError, FloatingPointError) as error:
        assert one_line(error, 600), error


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("values")
    training.register_blocks(folder)
    return folder


def test_the_runs_above_do_run(blocks):
    cfg = training.training_config(
        blocks, *("SOLVER.MAX_ITER", 1, "DATASETS.TEST", ("blocks",), "TEST.MAX_PICTURES", 1)
    )
    assert training.train(load_config(cfg)).iter == 1
    assert set(datasets.CLASSES)
