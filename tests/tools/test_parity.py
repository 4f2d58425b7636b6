"""The comparison with golden files: the reference's configurations in ours, and the command."""

import json

import numpy as np
import pytest
import torch
from parity import compare, golden, manifest, measure
from parity.settings import translate

from fgaseg_d2.config.loading import load_config
from tests.conftest import GOLDEN, build_small, tool


def configured(config, *opts):
    settings = translate(config, opts)
    return settings, load_config(settings.config, settings.opts, device="cpu").MODEL


def test_names_of_configurations_say_what_is_built():
    settings, model = configured("vitl_336_no_fast_add")
    fga = model.FGASEG
    assert (settings.is_fast, settings.is_catseg, fga.FUSION) == (False, False, "add")
    assert (model.CLIP.NAME, model.CLIP.IMAGE_SIZE) == ("ViT-L-14-336-quickgelu", [336, 336])
    assert fga.POOLING_TEST == [2, 2] and not model.CLIP.PRETRAINED
    settings, model = configured("vitb_384_fast_cat_kernel_5")
    assert settings.is_fast and model.FGASEG.LCS.KERNEL_SIZE == 5
    # What these files hold is not what they are called.
    _, model = configured("vitb_384_fast_cat_frozen_wo_P2Tformer")
    assert model.CLIP.FINETUNE == "frozen" and model.FGASEG.P2T.LAYERS == 1
    assert configured("vitb_384_fast_cat_align_0.001")[1].FGASEG.LOSS.T2P_WEIGHT == 0.002
    assert configured("vitb_384_fast_cat_align_0.2")[1].FGASEG.LOSS.T2P_WEIGHT == 0.2
    settings, model = configured("vitb_384_no_fast_ablation_blank")
    assert not settings.is_fast and not settings.is_catseg and model.FGASEG.FUSION == "cat"
    assert configured("vitl_336")[0].is_catseg


def test_changed_keys_are_translated():
    head = "MODEL.SEM_SEG_HEAD."
    settings, model = configured(
        *("vitb_384_no_fast_cat", f"{head}POOLING_SIZES", "[1, 1]", f"{head}KERNEL_SIZE", "7"),
        *(f"{head}P2T_LAYER", "3", f"{head}LAMBDA_ALIGN", "1", f"{head}DECODER_MOD", "fast"),
        *(f"{head}LAMBDA_AUXI", "0.5", f"{head}CLIP_FINETUNE", "full"),
        *(f"{head}TEST_CLASS_JSON", "datasets/coco.json", "TEST.SLIDING_WINDOW", "True"),
    )
    fga = model.FGASEG
    assert (fga.LCS.KERNEL_SIZE, fga.P2T.LAYERS, fga.LOSS.T2P_WEIGHT) == (7, 3, 1.0)
    assert fga.POOLING_TEST == fga.POOLING_TRAIN == [1, 1] and settings.is_fast
    assert fga.LOSS.AUX_WEIGHTS == [0.5, 1.0, 1.0] and model.CLIP.FINETUNE == "full"
    assert settings.values["TEST.SLIDING_WINDOW.ENABLED"] is True
    assert settings.ignored == (f"{head}TEST_CLASS_JSON",)


def test_a_changed_clip_brings_its_picture_size():
    key = "MODEL.SEM_SEG_HEAD.CLIP_PRETRAINED"
    _, model = configured("vitb_384_no_fast_cat", key, "ViT-L/14@336px")
    assert (model.CLIP.NAME, model.CLIP.IMAGE_SIZE) == ("ViT-L-14-336-quickgelu", [336, 336])
    _, model = configured("vitl_336_no_fast_cat", key, "ViT-B/16")
    assert (model.CLIP.NAME, model.CLIP.IMAGE_SIZE) == ("ViT-B-16-quickgelu", [384, 384])


def test_a_t2p_loss_without_weight_keeps_the_branch_whose_output_is_recorded():
    _, model = configured("vitb_384_no_fast_cat", "MODEL.SEM_SEG_HEAD.LAMBDA_ALIGN", "0")
    assert 0 < model.FGASEG.LOSS.T2P_WEIGHT < 1e-6


@pytest.mark.parametrize(
    ("config", "opts", "message"),
    [
        ("resnet_101", (), "expected a configuration vitb_384"),
        ("vitb_384_slow", (), "got '_slow'"),
        ("vitb_384_fast_cat", ("MODEL.SECRET", "1"), "got MODEL.SECRET"),
        ("vitb_384_fast_cat", ("MODEL.SEM_SEG_HEAD.DECODER_MOD", "odd"), "DECODER_MOD known here"),
        ("vitb_384_fast_cat", ("TEST.SLIDING_WINDOW",), "in turn"),
        ("vitb_384_fast_cat", ("MODEL.SEM_SEG_HEAD.P2T_LAYER", "0"), "P2T_LAYER known here, got 0"),
        ("vitb_384_fast_cat", ("MODEL.SEM_SEG_HEAD.ATTENTION_TYPE", "full"), "got full"),
        ("vitb_384_fast_cat", ("MODEL.SEM_SEG_HEAD.FEATURE_RESOLUTION", "[20, 20]"), "got [20, 20"),
        ("vitb_384_fast_cat", ("MODEL.SEM_SEG_HEAD.TEXT_GUIDANCE_PROJ_DIM", "64"), "got 64"),
        ("vitb_384_fast_cat", ("MODEL.PROMPT_ENSEMBLE_TYPE", "imagenet"), "got imagenet"),
    ],
)
def test_what_is_unknown_is_an_error(config, opts, message):
    with pytest.raises(ValueError, match="expected") as caught:
        translate(config, opts)
    assert message in str(caught.value)


def test_logits_are_compared_where_both_have_them():
    recorded = np.zeros((1, 3, 2, 2), np.float32)
    logits = torch.zeros(1, 3, 4, 4)
    logits[0, 1] += 0.01
    recorded[0, 2] = -100
    rejected, values = compare.logits(logits, recorded, as_probabilities=False)
    assert (rejected.quantity, rejected.difference) == ("rejected classes", 1)
    assert values.difference == pytest.approx(0.01) and not values.agrees
    # Early rejection: recorded as probabilities, 0 for what was dropped.
    logits[0, 2] = -100
    recorded = np.where(recorded == -100, 0, 0.5).astype(np.float32)
    rejected, values = compare.logits(logits, recorded, as_probabilities=True)
    assert rejected.agrees and values.difference == pytest.approx(0.01)
    assert "8 of 12 values" in values.note


def test_what_was_recorded_in_part_is_compared_in_part():
    maps = torch.arange(24 * 24.0).view(1, 1, 24, 24)
    for step in (1, 2, 5, 8):
        recorded = maps.numpy()[..., ::step, ::step].copy()
        assert compare.values("maps", maps, recorded).difference == 0
        recorded[..., -1, -1] += 1
        assert not compare.values("maps", maps, recorded).agrees
    other = compare.values("maps", maps, np.zeros((1, 2, 24, 24)))
    assert not other.agrees and other.note == "shape 1 x 1 x 24 x 24 here, 1 x 2 x 24 x 24 recorded"
    assert not compare.values("maps", None, maps.numpy()).agrees


def test_a_tie_counts_for_either_class_and_the_table_says_how_many():
    scores = torch.tensor([[[0.5, 0.5]], [[0.5 + 1e-7, 0.6]]])
    rows = [compare.labels(scores, np.full((1, 2), label, np.uint16)) for label in (0, 1, 7)]
    assert [row.difference for row in rows] == [0.5, 0, np.inf]
    assert "same class on 0.0000% of pixels" in rows[0].note
    assert "same class on 100.0000% of pixels" in rows[1].note


def test_gradient_norms_are_compared_one_by_one():
    recorded = {"large": 2.0, "small": 1e-5, "noise": 1e-10}
    same = compare.gradients(recorded | {"noise": 3e-10}, recorded)
    assert same.agrees
    wrong = compare.gradients(recorded | {"small": 1.02e-5}, recorded)
    assert wrong.difference == pytest.approx(0.02) and "small" in wrong.note and not wrong.agrees
    assert not compare.gradients(recorded | {"large": float("nan")}, recorded).agrees
    assert not compare.gradients({}, recorded).agrees


def test_targets_are_cells_of_32_pixels():
    cells = np.random.RandomState(7).randint(0, 6, (2, 12, 12))
    labels = golden.drawn_targets(5, 384, 384)
    assert (labels[:, ::32, ::32] == torch.from_numpy(np.where(cells == 5, 255, cells))).all()
    assert (labels[:, 31::32, 31::32] == labels[:, ::32, ::32]).all()
    assert golden.drawn_targets(5, 320, 336).shape == (2, 320, 336)
    for sizes, message in (((5, 100, 384), "multiples of 32"), ((300, 384, 384), "at most 255")):
        with pytest.raises(ValueError, match=message):
            golden.drawn_targets(*sizes)


def test_words_are_taken_as_the_reference_takes_them(tmp_path):
    about = {"config": "vitb_384", "opts": [], "image_size": [32, 32]}
    names = np.array(["door, gate", "door", "left,right", "a|b"])
    np.savez(tmp_path / "words.npz", names=names, **about)
    words = golden.read_golden(tmp_path / "words.npz")
    assert words.names == ["door", "door", "left,right", "a|b"]
    assert len(measure._vocabulary(words)) == 4


def test_what_the_reference_leaves_of_rejected_classes():
    """Between its two sigmoids: 0 for an early rejected class, -100 for one beyond the best."""
    torch.manual_seed(0)
    model = build_small("MODEL.FGASEG.FAST.ENABLED", True, "MODEL.FGASEG.MAX_CLASSES", 2)
    settings = translate("vitb_384_fast_cat", ())
    words = golden.Golden("", "", (), {"names": np.array(list("abc")), "image_size": (8, 12)})
    similarity = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(-1, -1, 4, 4)
    logits = torch.zeros(1, 3, 16, 16)
    logits[0, 1:] = -100
    changed = measure._as_the_reference(model, words, settings, logits, {"gcs": [similarity]})
    # Cut to the picture's size, as the reference does.
    assert changed.shape == (1, 3, 8, 12)
    assert changed[0, :, 0, 0].tolist() == [0.5, 0, -100]


@pytest.mark.parametrize(
    ("name", "config", "opts"),
    [
        ("vitb16_nofast_cat", "vitb_384_no_fast_cat", {}),
        ("vitb16_fast_cat", "vitb_384_fast_cat", {}),
        ("catseg_vitb16", "vitb_384", {}),
    ],
)
def test_a_manifest_tells_its_configuration(name, config, opts):
    shapes = manifest.read_manifest(GOLDEN / f"manifest_{name}.json")
    found, expected = manifest.settings_of(shapes), translate(config, ())
    assert found.config == expected.config and found.is_catseg == expected.is_catseg
    built = [load_config(s.config, s.opts, device="cpu") for s in (found, expected)]
    assert built[0] == built[1]


def test_manifests_of_other_kernels_and_depths_are_understood():
    shapes = manifest.read_manifest(GOLDEN / "manifest_vitb16_nofast_cat.json")
    head = "sem_seg_head.predictor."
    shapes[f"{head}transformer.Local_align.txt.weight"] = (512 * 49 + 1, 512)
    layers = {n: s for n, s in shapes.items() if f"{head}DCDT.cross_atten_text.0." in n}
    shapes |= {name.replace("text.0.", "text.1."): shape for name, shape in layers.items()}
    values = manifest.settings_of(shapes).values
    assert values["MODEL.FGASEG.LCS.KERNEL_SIZE"] == 7 and values["MODEL.FGASEG.P2T.LAYERS"] == 2


def test_a_manifest_is_compared_name_by_name(monkeypatch):
    shapes = manifest.read_manifest(GOLDEN / "manifest_catseg_vitb16.json")
    ours = shapes | {"upsample1.bias": (7,), "more": (1,)}
    del ours["upsample2.bias"]
    monkeypatch.setattr(manifest, "reference_shapes", lambda _: shapes)
    assert manifest.compare_manifest(shapes).agrees
    monkeypatch.setattr(manifest, "reference_shapes", lambda _: ours)
    row = manifest.compare_manifest(shapes)
    assert row.difference == 3 and "more: None, here (1,)" in row.note


@pytest.fixture
def folder(tmp_path):
    about = {"names": np.array(["cat", "dog, puppy"]), "image_size": np.array([32, 32])}
    for name, opts in (("known", ["SOLVER.BASE_LR", "1"]), ("unknown", ["MODEL.SECRET", "1"])):
        np.savez(tmp_path / f"{name}.npz", config="vitb_384_no_fast_cat", opts=opts, **about)
    (tmp_path / "broken.npz").write_bytes(b"PK")
    (tmp_path / "manifest_bad.json").write_text(json.dumps({"weight": "large"}))
    return tmp_path


def test_the_command_reports_and_its_exit_code_judges(folder, monkeypatch, capsys):
    assert golden.read_golden(folder / "known.npz").names == ["cat", "dog"]
    rows = [compare.Comparison("logits", 2e-6, 1e-3, "in part")]
    real = measure.measure
    monkeypatch.setattr(
        measure, "measure", lambda file: rows if file.name == "known" else real(file)
    )
    run = tool("check_parity").main
    assert run([str(folder), "--only", "known"]) == 0
    out = capsys.readouterr().out
    assert "2.00e-06      1e-03  ok   in part" in out
    assert "of no effect on what is compared: SOLVER.BASE_LR" in out
    rows.append(compare.Comparison("loss", float("nan"), 1e-4))
    assert run([str(folder), "--only", "known"]) == 1
    assert "OUT" in capsys.readouterr().out
    assert run([str(folder)]) == 1
    out = capsys.readouterr().out
    lines = dict(line.split("  error: ") for line in out.splitlines() if "  error: " in line)
    errors = {name.strip(): message for name, message in lines.items()}
    assert errors["broken"].startswith("expected a golden file")
    assert errors["unknown"].startswith("expected one of the keys")
    assert errors["manifest_bad"].startswith("expected a manifest")
    assert "3 golden files, 1 manifests: 4 out of tolerance or in error" in out


def test_an_empty_folder_is_one_line(tmp_path, capsys):
    assert tool("check_parity").main([str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: expected golden files")
