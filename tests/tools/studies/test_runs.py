"""Settings of an output folder, changed definitions, and what happens to commands that fail."""

import json
from dataclasses import replace

import pytest
import torch
from studies import plan
from studies.definition import Row, Study
from studies.jobs import Jobs, make_slots
from studies.plan import Planner
from studies.settings import Settings, read_settings, settle, write_clip, write_settings

from tests.conftest import ROOT, build_small, config

SMALL = ROOT / "tests" / "data" / "small.yaml"
# Does what train_net.py would: a model after training, figures after a test.
PROGRAM = """
import json, os, pathlib, shutil, sys
opts = dict(zip(sys.argv[1:], sys.argv[2:]))
folder = pathlib.Path(opts["OUTPUT_DIR"])
with open({calls!r}, "a") as calls:
    row = [opts.get("MODEL.FGASEG.P2T.LAYERS"), opts["SEED"], "--resume" in sys.argv]
    calls.write(json.dumps([*row, os.environ["OMP_NUM_THREADS"]]) + "\\n")
if opts.get("MODEL.FGASEG.P2T.LAYERS") == "2":
    sys.exit("some words\\nerror: the disk is full")
if "--resume" in sys.argv:
    for name in ("final", "0000001"):
        shutil.copy({model!r}, folder / f"model_{{name}}.pth")
else:
    for name in ("storybook_train",):
        target = folder / "inference" / name / "evaluation.json"
        target.parent.mkdir(parents=True)
        target.write_text("{{}}")
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "test.yaml"
    path.write_text(f"_BASE_: {SMALL}\nDATASETS: {{TEST: [storybook_train]}}\n", encoding="utf-8")
    rows = tuple(
        Row(name, {"MODEL.FGASEG.P2T.LAYERS": layers} if layers != 1 else {})
        for name, layers in (("one", 1), ("two", 2), ("three", 3))
    )
    return Study("s", "S", "?", SMALL, path, "one", rows)


@pytest.fixture
def jobs(tmp_path):
    said, program = [], tmp_path / "program.py"
    model = tmp_path / "checkpoint.pth"
    torch.save({"model": {"w": torch.ones(3)}, "optimizer": [1]}, model)
    text = PROGRAM.format(calls=str(tmp_path / "calls"), model=str(model))
    program.write_text(text, encoding="utf-8")

    def calls():
        found = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
        (tmp_path / "calls").unlink()
        return found

    slots = make_slots(1, "cpu")
    return lambda: Jobs(program, slots, said.append), said, calls


def test_a_failed_run_is_reported_and_the_others_go_on(study, tmp_path, jobs):
    make, said, calls = jobs
    runs = Planner(tmp_path / "out", Settings()).runs(study, [0, 1])
    assert make().run(runs) == 2
    # Seed by seed; a training, then its test; no test of what was not trained.
    threads = make_slots(1, "cpu")[0].variables["OMP_NUM_THREADS"]
    expected = [
        *([None, "0", True], [None, "0", False], ["2", "0", True]),
        *(["3", "0", True], ["3", "0", False]),
    ]
    expected += [[layers, "1", train] for layers, _, train in expected]
    assert calls() == [[*call, threads] for call in expected]
    failed = [line for line in said if line.startswith("failed: ")]
    assert len(failed) == 2 and all(len(line.splitlines()) == 1 for line in failed)
    assert "s, two, seed 0: the disk is full" in failed[0] and "console.log" in failed[0]
    assert [run.row for run in runs if run.finished] == ["one", "three"] * 2

    # The model alone is kept.
    folder = runs[0].training.folder
    content = torch.load(folder / "model_final.pth", weights_only=True)
    assert list(content) == ["model"] and content["model"]["w"].tolist() == [1, 1, 1]
    assert not (folder / "model_0000001.pth").exists()

    # Again: only what failed.
    assert make().run(runs) == 2
    assert [call[0] for call in calls()] == ["2", "2"]
    # A model may be removed once there are figures.
    (folder / "model_final.pth").unlink()
    make().run(runs[:1])
    assert not (tmp_path / "calls").exists()


def test_rows_that_train_alike_share_a_model(study, tmp_path, jobs):
    make, _, calls = jobs
    test_only = Row("half", {}, {"MODEL.CLIP.IMAGE_SIZE": [32, 32]})
    study = replace(study, rows=(*study.rows, test_only))
    runs = Planner(tmp_path / "out", Settings()).runs(study, [0], ["one", "half"])
    assert make().run(runs) == 0
    assert [call[2] for call in calls()] == [True, False, False]
    assert all(run.finished for run in runs)


def test_what_was_trained_otherwise_is_not_taken_for_finished(study, tmp_path, jobs):
    make, _, _ = jobs
    planner = Planner(tmp_path / "out", Settings(weights_sha256="a"))
    make().run(planner.runs(study, [0], ["one"]))
    for settings, what in (
        (Settings(weights_sha256="b"), "weights_sha256 'a', now it would be 'b'"),
        (Settings(weights_sha256="a", iterations=9), "SOLVER.MAX_ITER"),
    ):
        changed = Planner(tmp_path / "out", settings).runs(study, [0], ["one"])[0]
        with pytest.raises(ValueError, match="definition has changed; give another --output") as e:
            plan.check(changed.training)
        assert what in str(e.value) and "seed0" in str(e.value)
    # Another number of scenes is another test of the same model.
    more = Planner(tmp_path / "out", Settings(weights_sha256="a", scenes=9)).runs(study, [0])[0]
    plan.check(more.training)
    assert more.training.finished and not more.finished


def test_settings_are_kept_and_may_not_change(tmp_path):
    weights, other = tmp_path / "clip.pth", tmp_path / "other.pth"
    weights.write_bytes(b"some weights")
    other.write_bytes(b"other weights")
    first, path = settle(tmp_path / "out", str(weights), 9, 5, {"SEED": "1"})
    assert path == str(weights) and first.weights == "clip.pth"
    write_settings(tmp_path / "out", first)
    (tmp_path / "out" / "runs" / "clip.pth").touch()
    assert settle(tmp_path / "out", None, None, None, None) == (first, "")
    assert settle(tmp_path / "out", str(weights), 9, 7, None) == (replace(first, scenes=7), "")
    for arguments, what in (
        ((str(other), None, None, None), "weights_sha256"),
        ((None, 8, None, None), "iterations 9, not 8"),
        ((None, None, None, {}), "overrides"),
    ):
        with pytest.raises(ValueError, match="give another --output") as caught:
            settle(tmp_path / "out", *arguments)
        assert what in str(caught.value)
    (tmp_path / "out" / "runs" / "settings.json").write_text("[1]")
    with pytest.raises(ValueError, match="expected the settings of studies"):
        read_settings(tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="--weights"):
        settle(tmp_path / "new", str(tmp_path / "none.pth"), None, None, None)


def test_rows_start_from_the_clip_of_a_checkpoint_alone(tmp_path):
    model = build_small(seed=3)
    torch.save({"model": model.state_dict()}, tmp_path / "model.pth")
    write_clip(config("tests/data/small.yaml"), str(tmp_path / "model.pth"), tmp_path / "clip.pth")
    state = torch.load(tmp_path / "clip.pth", weights_only=True)["model"]
    assert {name.split(".")[0] for name in state} == {"backbone", "text_encoder"}
    wanted = {id(parameter) for parameter in model.clip_parameters()}
    for name, parameter in model.named_parameters():
        assert (name in state) == (id(parameter) in wanted)
        assert name not in state or torch.equal(state[name], parameter)

    for change, message in (
        (lambda tensor: tensor[:1], "expected --weights with a CLIP like"),
        (lambda tensor: tensor * float("nan"), "NaN in"),
    ):
        other = {name: change(tensor) for name, tensor in state.items()}
        torch.save({"model": other}, tmp_path / "other.pth")
        arguments = str(tmp_path / "other.pth"), tmp_path / "c.pth"
        with pytest.raises(ValueError, match=message):
            write_clip(config("tests/data/small.yaml"), *arguments)
    assert not (tmp_path / "c.pth").exists()


def test_jobs_share_the_machine(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [slot.threads for slot in make_slots(None, "cpu")] == [2] * 4
    assert [slot.threads for slot in make_slots(3, "cpu")] == [2] * 3
    with pytest.raises(ValueError, match="expected --jobs 1 .. 8, the number of CPU cores, got 9"):
        make_slots(9, "cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    slots = make_slots(None, "cuda")
    assert [slot.variables["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["3", "5"]
    with pytest.raises(ValueError, match="number of GPUs"):
        make_slots(3, "cuda")
