"""Keys that are accepted and recorded, but change nothing: each has a warning."""

import logging

import pytest
import torch
from detectron2.config import get_cfg

from fgaseg_d2 import OpenVocabPredictor, add_fgaseg_config
from fgaseg_d2.config.effects import unread_keys, without_effect
from fgaseg_d2.config.loading import config_folder, load_config
from fgaseg_d2.config.values import RULES, leaves, value_of
from fgaseg_d2.engine import FGASegTrainer
from tests.conftest import config
from tests.demo_tools import in_process, write_picture
from tests.engine import training
from tests.test_train_net import call

NOTHING = "nothing here reads it"
# Key, value, and the reason; then what makes it count.
SILENT = [
    ("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 20, NOTHING, None),
    ("MODEL.RESNETS.DEPTH", 101, NOTHING, None),
    ("MODEL.MASK_ON", True, NOTHING, None),
    ("INPUT.MASK_FORMAT", "bitmask", NOTHING, None),
    ("DATALOADER.REPEAT_THRESHOLD", 0.5, NOTHING, None),
    ("TEST.DETECTIONS_PER_IMAGE", 300, NOTHING, None),
    ("TEST.AUG.MAX_SIZE", 100, NOTHING, None),
    ("VIS_PERIOD", 5, NOTHING, None),
    ("TEST.AUG.MIN_SIZES", (64, 96), "TEST.AUG.ENABLED is False", ("TEST.AUG.ENABLED", True)),
    ("TEST.AUG.FLIP", False, "TEST.AUG.ENABLED is False", ("TEST.AUG.ENABLED", True)),
    (
        *("TEST.SLIDING_WINDOW.STRIDE", [8, 8], "TEST.SLIDING_WINDOW.ENABLED is False"),
        ("TEST.SLIDING_WINDOW.ENABLED", True),
    ),
    ("MODEL.FGASEG.FAST.KEEP", 4, "FAST.ENABLED is False", ("MODEL.FGASEG.FAST.ENABLED", True)),
    ("MODEL.FGASEG.P2T.GAMMA", 0.5, None, ("MODEL.FGASEG.P2T.LAYERS", 0)),
    ("MODEL.FGASEG.LCS.KERNEL_SIZE", 5, None, ("MODEL.FGASEG.LCS.ENABLED", False)),
    ("MODEL.FGASEG.FUSION", "add", None, ("MODEL.FGASEG.LCS.ENABLED", False)),
    ("MODEL.FGASEG.LOSS.T2P", "mse", None, ("MODEL.FGASEG.LOSS.T2P_WEIGHT", 0.0)),
    ("MODEL.FGASEG.LOSS.IGNORED_AS_NEGATIVE", False, None, ("MODEL.FGASEG.LOSS.MAIN", "ce")),
    ("MODEL.FGASEG.HIDDEN_DIM", 64, None, ("MODEL.SEM_SEG_HEAD.NAME", "DenseCLIPHead")),
    (
        "MODEL.CLIP.LOGIT_SCALE",
        5.0,
        "is 'FGASegHead'",
        ("MODEL.SEM_SEG_HEAD.NAME", "DenseCLIPHead"),
    ),
    ("MODEL.CLIP.PROMPT_LENGTH", 4, "PROMPT_DEPTH is 0", ("MODEL.CLIP.PROMPT_DEPTH", 2)),
    ("SOLVER.AMP.DTYPE", "bfloat16", "SOLVER.AMP.ENABLED is False", ("SOLVER.AMP.ENABLED", True)),
    ("SOLVER.MOMENTUM", 0.5, "SOLVER.OPTIMIZER is 'ADAMW'", ("SOLVER.OPTIMIZER", "SGD")),
    ("SOLVER.ADAMW_EPS", 1e-6, None, ("SOLVER.OPTIMIZER", "SGD")),
    (
        *("SOLVER.STEPS", (2,), "LR_SCHEDULER_NAME is 'WarmupCosineLR'"),
        ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR"),
    ),
    ("SOLVER.BASE_LR_END", 1e-9, None, ("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR")),
    ("SOLVER.WARMUP_FACTOR", 0.5, "SOLVER.WARMUP_ITERS is 0", ("SOLVER.WARMUP_ITERS", 3)),
    ("SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 1.0, None, ("SOLVER.CLIP_GRADIENTS.ENABLED", False)),
    ("INPUT.CROP.SIZE", [32, 32], None, ("INPUT.CROP.ENABLED", False)),
    ("INPUT.CROP.AREA", [0.2, 0.5], "CROP.TYPE is 'absolute'", ("INPUT.CROP.TYPE", "resized")),
    ("INPUT.MIN_SIZE_TRAIN", (40,), None, ("INPUT.CROP.TYPE", "resized")),
    ("TEST.PAMR.DILATIONS", [8, 16], "PAMR.ITERATIONS is 0", ("TEST.PAMR.ITERATIONS", 10)),
    ("INPUT.MAX_SIZE_TEST", 500, None, ("INPUT.MIN_SIZE_TEST", 0)),
    *(
        (f"TEST.PROPOSALS.{key}", value, "TEST.SEGMENT_VOTE is False", ("TEST.SEGMENT_VOTE", True))
        for key, value in (("SUPERPIXELS", 50), ("KIND", "given"))
    ),
]


class Warnings(logging.Handler):
    """Collects what a user is told, also where a set-up cuts the package's log off the root's."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        if "no effect" in record.getMessage():
            self.texts.append(record.getMessage())


def warnings_of(call_it):
    handler = Warnings()
    logging.getLogger("fgaseg_d2").addHandler(handler)
    try:
        call_it()
    finally:
        logging.getLogger("fgaseg_d2").removeHandler(handler)
    return handler.texts


def load(*opts):
    cfg = config("tests/data/small.yaml", "SOLVER.WARMUP_ITERS", 0)
    return lambda: load_config(cfg, opts)


@pytest.mark.parametrize(("key", "value", "reason", "switch"), SILENT)
def test_a_key_without_effect_is_told(key, value, reason, switch):
    """With a reason it is silent until the switch is set, without one it is silent from then on."""
    found = warnings_of(load(key, value))
    switched = warnings_of(load(key, value, *(switch or ())))
    if reason is None:
        found, switched, reason = switched, found, f"{switch[0]} is {switch[1]!r}"
    assert len(found) == 1 and found[0].startswith(f"{key} {value!r} has no effect: ")
    assert found[0].endswith(reason)
    if switch is not None:
        assert switched == []


def test_use_looks_for_segments_by_itself():
    assert warnings_of(lambda: load_config("use_tiny", ["TEST.PROPOSALS.SUPERPIXELS", 50])) == []


def test_keys_of_a_file_of_ones_own_are_told_and_bundled_ones_are_not(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        f"_BASE_: {config_folder()}/fgaseg/tiny.yaml\nMODEL: {{RESNETS: {{DEPTH: 50}}}}\n"
        "TEST: {AUG: {FLIP: True}}\n"
    )
    assert [text.split()[0] for text in warnings_of(lambda: load_config(own))] == [
        "MODEL.RESNETS.DEPTH",
        "TEST.AUG.FLIP",
    ]
    for name in ("tiny", "vitb16_384", "tiny_contrastive", "tiny_training_free"):
        assert warnings_of(lambda name=name: load_config(name, weights="")) == []


def test_the_record_of_a_run_is_no_choice_of_anybody(tmp_path):
    record = tmp_path / "config.yaml"
    record.write_text(load_config("tiny", weights="").dump())
    assert warnings_of(lambda: load_config(record)) == []
    found = warnings_of(lambda: load_config(record, ["TEST.AUG.FLIP", True]))
    assert len(found) == 1


def test_a_trainer_tells_keys_that_nothing_reads(tmp_path):
    training.register_blocks(tmp_path)
    cfg = training.training_config(tmp_path, "MODEL.RPN.NMS_THRESH", 0.5)
    found = warnings_of(lambda: FGASegTrainer(cfg))
    assert found == ["MODEL.RPN.NMS_THRESH 0.5 has no effect: nothing here reads it"]


def test_a_model_of_ones_own_may_read_any_key_of_the_model():
    cfg = config("tests/data/small.yaml", "MODEL.SEM_SEG_HEAD.NAME", "MyHead")
    assert not any(key.startswith("MODEL.") for key in unread_keys(cfg))
    assert "INPUT.MASK_FORMAT" in unread_keys(cfg)


def test_what_a_prediction_does_not_read_is_told():
    opts = ("TEST.AUG.ENABLED", True, "SOLVER.BASE_LR", 0.1, "INPUT.MIN_SIZE_TEST", 64)
    cfg = config("tests/data/small.yaml")
    found = warnings_of(lambda: OpenVocabPredictor(cfg, opts=opts))
    assert [text.partition(" has")[0] for text in found] == [
        "TEST.AUG.ENABLED True",
        "SOLVER.BASE_LR 0.1",
    ]


def test_every_key_is_read_or_told():
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    cfg.MODEL.DEVICE = "cpu"
    keys = {key for key, _ in leaves(cfg)}
    assert set(dict(without_effect(cfg, keys))) >= keys - set(RULES)


@pytest.fixture
def told(monkeypatch, capsys, tmp_path):
    """Runs train_net.py on the blocks, one iteration; returns its warnings."""
    training.register_blocks(tmp_path)
    cfg = training.training_config(tmp_path, "SOLVER.MAX_ITER", 1)
    opts = [word for key in COMMAND for word in (key, value_of(cfg, key))]

    def run(*arguments):
        codes = []
        small = ("--config-file", "tests/data/small.yaml")
        found = warnings_of(
            lambda: codes.append(call(monkeypatch, capsys, *small, *opts, *arguments))
        )
        assert codes[0][0] == 0, codes
        return found

    return run


COMMAND = (
    *("OUTPUT_DIR", "DATASETS.TRAIN", "DATASETS.TEST", "INPUT.MIN_SIZE_TRAIN", "INPUT.CROP.SIZE"),
    *("SOLVER.IMS_PER_BATCH", "SOLVER.MAX_ITER", "SOLVER.CHECKPOINT_PERIOD", "SOLVER.BASE_LR"),
    *("DATALOADER.NUM_WORKERS", "SEED"),
)


def test_a_rate_changed_on_resuming_is_told(told):
    assert told() == []
    found = told(
        *("--resume", "SOLVER.MAX_ITER", 2, "SOLVER.BASE_LR", 0.02, "SEED", 8),
        *("SOLVER.WEIGHT_DECAY", 0.5, "MODEL.WEIGHTS", "fgaseg_d2://x"),
    )
    resumed = "has no effect on a run that is resumed: it goes on"
    assert len(found) == 4
    assert f"SOLVER.BASE_LR 0.02 {resumed} with 0.001 of its checkpoint" in found
    assert f"SEED 8 {resumed} with 7 of its checkpoint" in found
    assert any(text.startswith(f"SOLVER.WEIGHT_DECAY 0.5 {resumed} with ") for text in found)
    assert any(text.startswith(f"MODEL.WEIGHTS 'fgaseg_d2://x' {resumed} from") for text in found)
    # What the run goes on with is kept, so that a third command is told as well.
    found = told("--resume", "SOLVER.MAX_ITER", 3, "SOLVER.BASE_LR", 0.02)
    assert [text.split(" has")[0] for text in found] == ["SOLVER.BASE_LR 0.02"]
    assert told("--resume", "SOLVER.MAX_ITER", 4) == []


def test_an_older_checkpoint_tells_by_its_optimiser(told, tmp_path):
    assert told() == []
    path = tmp_path / "output" / "model_final.pth"
    checkpoint = torch.load(path, weights_only=False)
    del checkpoint["trainer"]["settings"]
    torch.save(checkpoint, path)
    found = told("--resume", "SOLVER.MAX_ITER", 2, "SOLVER.BASE_LR", 0.02)
    assert len(found) == 1 and found[0].startswith("SOLVER.BASE_LR, LR_MULTIPLIERS or")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SOLVER.OPTIMIZER", "SGD"),
        ("MODEL.CLIP.FINETUNE", "frozen"),
        ("SOLVER.LR_MULTIPLIERS.CLIP", 1.0),
    ],
)
def test_another_optimiser_on_resuming_is_an_error(tmp_path, key, value):
    training.register_blocks(tmp_path)
    training.train(training.training_config(tmp_path, "SOLVER.MAX_ITER", 1))
    cfg = training.training_config(tmp_path, "SOLVER.MAX_ITER", 2, key, value)
    with pytest.raises(ValueError, match=f"optimiser of the checkpoint.* set {key} as before"):
        training.train(cfg, resume=True)


def test_what_an_evaluation_does_not_read_is_told(told):
    found = told(
        *("--eval-only", "DATASETS.TEST", "('blocks',)", "MODEL.RPN.NMS_THRESH", 0.5),
        *("SOLVER.GAMMA", 0.5, "TEST.MAX_PICTURES", 1),
    )
    keys = [text.split()[0] for text in found]
    assert keys.count("SOLVER.GAMMA") == keys.count("MODEL.RPN.NMS_THRESH") == 1
    assert "TEST.MAX_PICTURES" not in keys


def test_the_demo_tells_what_it_does_not_read(monkeypatch, capfd, tmp_path):
    write_picture(tmp_path / "scene.png", (40, 30))
    code, _, error = in_process(monkeypatch, capfd)(
        *("--input", tmp_path / "scene.png", "--vocab", "cat,dog", "--output", tmp_path / "out"),
        *("--device", "cpu", "--opts", "TEST.AUG.ENABLED", "True", "MODEL.WEIGHTS", ""),
    )
    assert code == 0 and "TEST.AUG.ENABLED True has no effect: a prediction does not" in error
