"""The comparison with golden files: the reference's configurations in ours, and the command."""

import numpy as np
import pytest
import torch

from fgaseg_d2.config_files import load_config
from fgaseg_d2.parity import golden, measure
from fgaseg_d2.parity.settings import translate
from tests.conftest import tool


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
    _, model = configured("vitb_384_fast_cat_frozen_wo_P2Tformer")
    assert model.CLIP.FINETUNE == "frozen" and model.FGASEG.P2T.LAYERS == 0
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


@pytest.mark.parametrize(
    ("config", "opts", "message"),
    [
        ("resnet_101", (), "expected a configuration vitb_384"),
        ("vitb_384_slow", (), "got '_slow'"),
        ("vitb_384_fast_cat", ("MODEL.SECRET", "1"), "got MODEL.SECRET"),
        ("vitb_384_fast_cat", ("MODEL.SEM_SEG_HEAD.DECODER_MOD", "odd"), "DECODER_MOD known here"),
        ("vitb_384_fast_cat", ("TEST.SLIDING_WINDOW",), "in turn"),
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
    rows = list(measure._compare_logits(logits, recorded, probabilities=False))
    assert [row[0] for row in rows] == ["rejected classes", "logits"]
    assert rows[0][1] == 1 and rows[1][1] == pytest.approx(0.01)
    # Early rejection: recorded as probabilities, 0 for what was dropped.
    logits[0, 2] = -100
    recorded = np.where(recorded == -100, 0, 0.5).astype(np.float32)
    rows = list(measure._compare_logits(logits, recorded, probabilities=True))
    assert rows[0][1] == 0 and rows[1][1] == pytest.approx(0.01)


def test_a_tie_counts_for_either_class():
    scores = torch.tensor([[[0.5, 0.5]], [[0.5 + 1e-7, 0.6]]])
    assert measure._wrong(scores, np.zeros((1, 2), np.uint16)) == 0.5
    assert measure._wrong(scores, np.ones((1, 2), np.uint16)) == 0


@pytest.fixture
def folder(tmp_path):
    about = {"names": np.array(["cat", "dog, puppy"]), "image_size": np.array([32, 32])}
    for name, opts in (("known", []), ("unknown", ["MODEL.SECRET", "1"])):
        np.savez(tmp_path / f"{name}.npz", config="vitb_384_no_fast_cat", opts=opts, **about)
    (tmp_path / "broken.npz").write_bytes(b"PK")
    return tmp_path


def test_the_command_reports_and_its_exit_code_judges(folder, monkeypatch, capsys):
    assert golden.read_golden(folder / "known.npz").names == ["cat", "dog"]
    rows = [measure.Row("known", "logits", 2e-6, 1e-3)]
    real = measure.measure
    monkeypatch.setattr(
        measure, "measure", lambda file: rows if file.name == "known" else real(file)
    )
    run = tool("check_parity").main
    assert run([str(folder), "--only", "known"]) == 0
    assert "2.00e-06      1e-03  ok" in capsys.readouterr().out
    rows.append(measure.Row("known", "loss", float("nan"), 1e-4))
    assert run([str(folder), "--only", "known"]) == 1
    assert "OUT" in capsys.readouterr().out
    assert run([str(folder)]) == 1
    out = capsys.readouterr().out
    assert "broken" in out and "unknown  error: expected one of the keys" in out
    assert "3 out of tolerance or in error" in out


def test_an_empty_folder_is_one_line(tmp_path, capsys):
    assert tool("check_parity").main([str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: expected golden files")
