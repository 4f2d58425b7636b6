"""tools/benchmark.py: what it measures, writes and refuses; not how long anything took."""

import json
import sys
import time

import pytest
import torch
from PIL import Image
from speed import measuring, workloads

from tests.conftest import build_small, tool

benchmark = tool("benchmark")
SMALL = ("--config-file", "tests/data/small.yaml", "--seconds", "0")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_numbers(monkeypatch):
    monkeypatch.setattr(measuring, "_SIDE", 64)
    monkeypatch.setattr(measuring, "_SECONDS", 0)


def test_everything_is_measured_and_written(tmp_path, capsys):
    path, drawing = tmp_path / "speed.json", tmp_path / "speed.png"
    what = ["forward", "sliding", "text", "training", "evaluation"]
    code = benchmark.main(
        [
            *SMALL, "--what", *what, "--classes", "5", "--size", "40", "50", "--batch", "1",
            "--profile", "--json", str(path), "--plot", str(drawing),
            "--opts", "DATALOADER.NUM_WORKERS", "0",
        ]
    )  # fmt: skip
    assert code == 0
    written = json.loads(path.read_text())
    assert written.keys() == {"machine", "versions", "settings", "results"}
    assert written["versions"]["torch"] == torch.__version__
    assert written["settings"]["size"] == [40, 50]
    assert [(result["what"], result["classes"]) for result in written["results"]] == [
        (name, 5) for name in what
    ]
    for result in written["results"]:
        assert result["runs"] == 1 and result["median"] > 0 and result["cpu_seconds"] > 0
        assert result["matmul_gflop"] == pytest.approx(result["median"] * result["rate"])
        assert result["peak_memory"] is None or result["peak_memory"] > 0
    stage_names = set(written["results"][0]["stages"])
    assert {"backbone", "aggregation 0, space", "decoder, classify"} < stage_names
    with Image.open(drawing) as image:
        assert image.size[0] > 300
    out = capsys.readouterr().out
    assert "matmul GFLOP" in out and "everything else" in out


def test_every_number_of_classes_is_measured(tmp_path):
    path, size = tmp_path / "speed.json", ("--size", "40", "50", "--json")
    what = ("--what", "forward", "text", "--classes", "2", "3")
    assert benchmark.main([*SMALL, *what, *size, str(path)]) == 0
    done = [(r["what"], r["classes"]) for r in json.loads(path.read_text())["results"]]
    assert done == [("forward", 2), ("forward", 3), ("text", 2), ("text", 3)]


def test_start_up_takes_a_new_process(tmp_path):
    """Once; main calls it twice, and imports the libraries in each."""
    bench = workloads.Bench("tests/data/small.yaml", [], "cpu", (40, 50), 1, tmp_path)
    done = bench.startup(0)()
    assert done.returncode == 0 and bench.model is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "0"], "1 .. 100000"),
        (["--classes", "many"], "whole number"),
        (["--seconds", "-1"], "0 or more"),
        (["--what", "dancing"], "invalid choice"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        benchmark.main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config-file", "no_such_configuration"],
        [*SMALL, "--device", "abacus"],
        [*SMALL, "--opts", "MODEL.NO_SUCH_KEY", "1"],
    ],
)
def test_what_cannot_be_used_is_one_line_and_exit_code_1(arguments, capsys):
    assert benchmark.main([*arguments]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_the_first_call_is_left_out():
    calls = []
    found = measuring.measure(lambda: calls.append(time.sleep(0.001)), CPU, seconds=0)
    assert len(calls) == 2 and found["runs"] == 1
    assert found["median"] >= 0.001 and found["iqr"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says it")
def test_peak_memory_is_that_of_the_runs():
    def allocate():
        return torch.ones(2**26).sum()

    before = measuring.measure(lambda: None, CPU, 0)["peak_memory"]
    found = measuring.measure(allocate, CPU, 0)
    assert found["peak_memory"] > before + 0.2 and found["extra_memory"] > 0.2


def test_stages_leave_the_model_as_it_was_and_cover_the_time():
    model = build_small()
    item = {"image": workloads.picture(40, 40), "vocabulary": workloads.words(3)}
    before = set(model.sem_seg_head.decoder.__dict__)
    with torch.no_grad():
        (expected,) = model([item])
        seconds = measuring.stage_seconds(lambda: model([item]), model)
        (after,) = model([item])
    assert set(model.sem_seg_head.decoder.__dict__) == before
    assert torch.equal(expected["sem_seg"], after["sem_seg"])
    assert all(value >= 0 for value in seconds.values())
    assert seconds["backbone"] > 0
