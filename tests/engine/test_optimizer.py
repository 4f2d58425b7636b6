"""Every parameter that trains is in one group, at the learning rate of what it belongs to."""

import pytest
import torch
from torch import nn

from fgaseg_d2.engine.optimizer import build_optimizer, parameter_groups
from tests.conftest import build_small, config
from tests.engine.toy import Toy, samples, toy_config


def settings(cfg, model):
    """Learning rate and weight decay of each parameter by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    for group in parameter_groups(cfg, model):
        for parameter in group["params"]:
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    return found


def test_learning_rates_and_weight_decays():
    cfg = toy_config(
        *("SOLVER.BASE_LR", 1.0, "SOLVER.CLIP_MULTIPLIER", 0.01, "SOLVER.WEIGHT_DECAY", 0.1),
        *("SOLVER.WEIGHT_DECAY_NORM", 0.2, "SOLVER.WEIGHT_DECAY_EMBED", 0.3),
    )
    assert settings(cfg, Toy()) == {
        "clip.weight": (0.01, 0.1),
        "clip.bias": (0.01, 0.1),
        "norm.weight": (1.0, 0.2),
        "norm.bias": (1.0, 0.2),
        "classes.weight": (1.0, 0.3),
    }


def test_biases_can_have_their_own():
    cfg = toy_config("SOLVER.BASE_LR", 1.0, "SOLVER.BIAS_LR_FACTOR", 2.0)
    cfg.SOLVER.WEIGHT_DECAY_BIAS = 0.5
    found = settings(cfg, Toy())
    assert found["clip.bias"] == (0.02, 0.5) and found["norm.bias"] == (2.0, 0.5)
    assert found["classes.weight"][0] == 1.0


def test_shared_parameters_are_counted_once():
    model = Toy()
    model.again = model.classes
    assert len(settings(toy_config(), model)) == 5


def test_real_model_trains_q_and_v_of_clip_at_its_rate_and_all_else_at_the_base_rate():
    model = build_small("MODEL.CLIP.FINETUNE", "attention")
    cfg = toy_config("SOLVER.BASE_LR", 1.0, "SOLVER.CLIP_MULTIPLIER", 0.25)
    found = settings(cfg, model)
    in_clip = {id(parameter) for parameter in model.clip_parameters()}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert set(found) == set(trained)
    for name, parameter in trained.items():
        assert found[name][0] == (0.25 if id(parameter) in in_clip else 1.0), name
    assert sum(id(parameter) in in_clip for parameter in trained.values()) > 0


def test_the_first_step_of_adamw_is_that_of_its_formula_with_its_epsilon():
    cfg = toy_config(
        *("SOLVER.BASE_LR", 0.1, "SOLVER.ADAMW_EPS", 1e-3, "SOLVER.CLIP_MULTIPLIER", 1.0),
        *("SOLVER.WEIGHT_DECAY", 0.0),
    )
    model = Toy()
    optimizer, weight = build_optimizer(cfg, model), model.classes.weight
    before, gradient = weight.detach().clone(), torch.full_like(weight, 1e-3)
    gradient[0] = 1.0
    weight.grad = gradient
    optimizer.step()
    # Both moments are the gradient's, unbiased.
    change = before - weight.detach()
    torch.testing.assert_close(change[1:], torch.full_like(change[1:], 0.1 / 2))
    torch.testing.assert_close(change[0], torch.full_like(change[0], 0.1 / 1.001))


@pytest.mark.parametrize(
    ("name", "epsilon"),
    [("mgca/cc3m", 1e-6), ("mgca/storybook", 1e-6), ("use/base", 1e-8), ("fgaseg/tiny", 1e-8)],
)
def test_adamws_epsilon_is_that_of_the_configuration(name, epsilon):
    groups = build_optimizer(config(f"configs/{name}.yaml"), Toy()).param_groups
    assert {group["eps"] for group in groups} == {epsilon}


def step(cfg, scale):
    """Change of the toy's parameters by one step of gradients of a given size."""
    torch.manual_seed(0)
    model = Toy()
    optimizer = build_optimizer(cfg, model)
    before = {name: p.clone() for name, p in model.named_parameters()}
    (sum(model(samples(2)).values()) * scale).backward()
    optimizer.step()
    return {name: p - before[name] for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", ["full_model", "norm", "value"])
def test_gradient_clipping(kind):
    cfg = toy_config(
        *("SOLVER.OPTIMIZER", "SGD", "SOLVER.MOMENTUM", 0.0, "SOLVER.BASE_LR", 1.0),
        *("SOLVER.WEIGHT_DECAY", 0.0, "SOLVER.CLIP_MULTIPLIER", 1.0),
        *("SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", kind),
        *("SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 0.01),
    )
    changes = step(cfg, scale=1000.0)
    norms = torch.stack([change.norm() for change in changes.values()])
    if kind == "full_model":
        assert norms.norm().item() == pytest.approx(0.01, rel=1e-3)
    elif kind == "norm":
        assert norms[norms > 0].tolist() == pytest.approx([0.01] * 5, rel=1e-3)
    else:
        largest = max(change.abs().max().item() for change in changes.values())
        assert largest == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("kind", ["ADAMW", "SGD"])
def test_frozen_parameters_stay(kind):
    changes = step(toy_config("SOLVER.OPTIMIZER", kind, "SOLVER.BASE_LR", 0.1), scale=1.0)
    assert not changes["frozen.weight"].any()
    assert all(change.any() for name, change in changes.items() if "frozen" not in name)


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="SOLVER.OPTIMIZER ADAMW or SGD, got 'LION'"):
        build_optimizer(toy_config("SOLVER.OPTIMIZER", "LION"), Toy())


def test_nothing_trains():
    model = Toy()
    nn.Module.requires_grad_(model, False)
    with pytest.raises(ValueError, match="no parameter of the model trains"):
        build_optimizer(toy_config(), model)
