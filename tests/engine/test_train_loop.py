"""The training loop: accumulation, mixed precision, random numbers, logs, bad losses."""

import copy
import itertools

import pytest
import torch
from detectron2.utils.events import EventStorage

from fgaseg_d2.engine.train_loop import TrainLoop
from tests.engine.toy import Toy, samples


def make_loop(model, batches, **settings):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    return TrainLoop(model, itertools.cycle(batches), optimizer, **settings)


def run(loop, iterations, start=0):
    """Train; returns what was logged."""
    with EventStorage(start) as storage:
        for loop.iter in range(start, start + iterations):
            loop.run_step()
            storage.step()
    return {name: [value for value, _ in h.values()] for name, h in storage.histories().items()}


def parameters(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_accumulated_batches_equal_one_large_batch():
    data = samples(8)
    torch.manual_seed(0)
    whole = Toy()
    parts = copy.deepcopy(whole)
    first = run(make_loop(whole, [data]), 3)
    batches = [data[:2], data[2:4], data[4:6], data[6:]]
    second = run(make_loop(parts, batches, accumulate_steps=4), 3)
    assert torch.allclose(parameters(whole), parameters(parts), atol=1e-6)
    assert first["loss_main"] == pytest.approx(second["loss_main"], abs=1e-5)


def test_every_term_throughput_and_memory_are_logged():
    logged = run(make_loop(Toy(), [samples(4)]), 2)
    assert {"loss_main", "loss_noise", "total_loss", "throughput", "memory_mb", "data_time"} <= set(
        logged
    )
    assert min(logged["throughput"]) > 0 and min(logged["memory_mb"]) > 10


def test_a_single_term_is_logged_by_its_name():
    model = Toy()
    model.forward = lambda batch: {"loss_main": model.clip.weight.square().sum()}
    logged = run(make_loop(model, [samples(1)]), 1)
    assert logged["loss_main"] == pytest.approx(logged["total_loss"])


def test_random_numbers_depend_on_seed_and_iteration_only():
    data = [samples(2)]

    def losses(iterations, start, seed):
        torch.manual_seed(0)
        model = Toy()
        model.noise = 1.0
        model.requires_grad_(False).clip.requires_grad_(True)
        loop = make_loop(model, data, seed=seed)
        loop.optimizer.param_groups[0]["lr"] = 0.0
        return run(loop, iterations, start)["loss_noise"]

    whole = losses(4, 0, seed=1)
    assert losses(2, 2, seed=1) == whole[2:]
    assert len(set(whole)) == 4
    assert losses(4, 0, seed=2) != whole


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_reaches_the_model(dtype):
    seen = []
    model = Toy()
    model.clip.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    run(make_loop(model, [samples(2)], amp_dtype=dtype), 1)
    assert seen == [dtype]
    assert all(parameter.dtype is torch.float32 for parameter in model.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="gradient scaling needs CUDA")
def test_gradient_scaler_is_saved_and_clipping_sees_true_gradients():
    model = Toy().cuda()
    data = [{key: value.cuda() for key, value in one.items()} for one in samples(2)]
    loop = make_loop(model, [data], amp_dtype=torch.float16)
    seen = []
    loop.optimizer.register_step_pre_hook(
        lambda *_: seen.append(
            max(p.grad.abs().max() for p in model.parameters() if p.requires_grad)
        )
    )
    run(loop, 3)
    assert max(seen) < 100
    assert loop.state_dict()["grad_scaler"]["scale"] > 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_loss_that_is_no_number_is_named(value):
    model = Toy()
    model.noise = value
    with pytest.raises(
        FloatingPointError, match=r"at iteration 7: loss_noise = .*BASE_LR"
    ) as error:
        run(make_loop(model, [samples(1)]), 1, start=7)
    assert "loss_main" not in str(error.value) and "\n" not in str(error.value)


def test_state_can_be_loaded_with_and_without_a_scaler():
    loop = make_loop(Toy(), [samples(1)])
    loop.iter = 5
    state = loop.state_dict()
    other = make_loop(Toy(), [samples(1)])
    other.load_state_dict(state)
    assert other.iter == 5
    other.load_state_dict({key: value for key, value in state.items() if key != "grad_scaler"})


def test_accumulate_steps_below_one():
    with pytest.raises(ValueError, match="ACCUMULATE_STEPS of 1 or more, got 0"):
        make_loop(Toy(), [samples(1)], accumulate_steps=0)
