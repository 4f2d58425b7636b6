"""tools/benchmark.py: what it measures, writes and refuses; not how long anything took."""

import json
import statistics
import time

import pytest
import torch
from PIL import Image
from speed import clock, stages, workloads

from tests.conftest import build_small, tool

benchmark = tool("benchmark")
SMALL = ("--config-file", "tests/data/small.yaml", "--runs", "1", "--warmup", "0")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_numbers(monkeypatch):
    monkeypatch.setattr(clock, "_SIDE", 64)


def test_everything_is_measured_and_written(tmp_path, capsys):
    path, drawing = tmp_path / "speed.json", tmp_path / "speed.png"
    what = ["forward", "sliding", "text", "training", "evaluation"]
    code = benchmark.main(
        [
            *SMALL, "--what", *what, "--classes", "2", "5", "--variant", "exact", "keep1",
            "--size", "40", "50", "--batch", "1", "--pictures", "2", "--profile",
            "--json", str(path), "--plot", str(drawing), "--opts", "DATALOADER.NUM_WORKERS", "0",
        ]
    )  # fmt: skip
    assert code == 0
    written = json.loads(path.read_text())
    assert written.keys() == {"machine", "versions", "settings", "results"}
    assert written["versions"]["torch"] == torch.__version__
    assert written["settings"]["size"] == [40, 50]
    done = [(r["variant"], r["what"], r["classes"]) for r in written["results"]]
    assert done == [(v, w, c) for v in ("exact", "keep1") for w in what for c in (2, 5)]
    for result in written["results"]:
        assert len(result["seconds"]) == len(result["cpu_seconds"]) == len(result["rates"]) == 1
        assert result["median"] == result["seconds"][0] > 0
        assert result["matmul_gflop"] == pytest.approx(result["median"] * result["rates"][0])
        assert result["peak_memory"] is None or result["peak_memory"] > 0
    stage_names = set(written["results"][0]["stages"])
    assert {"backbone", "aggregation 0, space", "decoder, classify"} < stage_names
    with Image.open(drawing) as image:
        assert image.size[0] > 300
    out = capsys.readouterr().out
    assert "matmul GFLOP" in out and "everything else" in out


def test_start_up_is_measured_in_a_new_process(capsys):
    assert benchmark.main([*SMALL, "--what", "startup"]) == 0
    assert "startup" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "0"], "1 .. 100000"),
        (["--classes", "many"], "whole number"),
        (["--warmup", "-1"], "0 .. 10000"),
        (["--what", "dancing"], "invalid choice"),
        (["--precision", "float8"], "invalid choice"),
        (["--variant", "magic"], "invalid choice"),
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


def test_the_choices_of_the_command_line_are_those_of_the_package():
    assert tuple(workloads.WORKLOADS) == benchmark.WHAT
    assert tuple(workloads.VARIANTS) == benchmark.VARIANTS
    assert benchmark.PRECISIONS == workloads.PRECISIONS


def test_runs_are_counted_and_warm_ups_left_out():
    calls = []
    measured = clock.measure(lambda: calls.append(time.sleep(0.001)), CPU, runs=3, warmup=2)
    assert len(calls) == 5
    assert len(measured.seconds) == len(measured.rates) == 3
    assert min(measured.seconds) >= 0.001 and min(measured.rates) > 0


def test_figures_of_a_measurement_by_hand():
    measured = clock.Measurement([3.0, 1.0, 2.0], [1, 1, 1], [10.0, 40.0, 20.0], 5.0, 2.0)
    assert (measured.median, measured.spread) == (2.0, 2.0)
    assert measured.matmul_gflop == statistics.median([30, 40, 40])
    assert measured.extra_memory == 3.0
    assert clock.Measurement([1.0], [1.0], [1.0], None, None).extra_memory is None


@pytest.mark.skipif(clock._status("VmHWM") is None, reason="needs Linux")
def test_peak_memory_is_that_of_the_runs():
    def allocate():
        return torch.ones(2**26).sum()

    before = clock.measure(lambda: None, CPU, runs=1, warmup=0).peak_memory
    assert clock.measure(allocate, CPU, runs=1, warmup=0).peak_memory > before + 0.2


def test_stages_leave_the_model_as_it_was_and_cover_the_time():
    model = build_small()
    item = {"image": workloads.picture(40, 40), "vocabulary": workloads.words(3)}
    before = set(model.sem_seg_head.decoder.__dict__)
    with torch.no_grad():
        (expected,) = model([item])
        seconds = stages.stage_seconds(lambda: model([item]), model, CPU)
        (after,) = model([item])
    assert set(model.sem_seg_head.decoder.__dict__) == before
    assert torch.equal(expected["sem_seg"], after["sem_seg"])
    assert all(value >= 0 for value in seconds.values())
    assert seconds["backbone"] > 0
