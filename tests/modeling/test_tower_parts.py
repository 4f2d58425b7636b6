"""What towers do beyond their libraries: readings, prompts, what trains, what is refused."""

import copy

import pytest
import torch
from timm.layers import apply_rot_embed_cat
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from fgaseg_d2.modeling.towers import tower_class
from fgaseg_d2.modeling.towers.base import DENSE, GLOBAL
from fgaseg_d2.modeling.towers.dense_reading import READINGS
from fgaseg_d2.modeling.towers.timm_vit import trunk_of
from tests.modeling.test_dense_reading import ATTENTION_ALONE, WEIGHTS, gaussian
from tests.towers import FAMILIES, IMAGE_ONLY, PYRAMIDS, library_and_tower, size_of

VITS = [name for name in (*FAMILIES, *IMAGE_ONLY) if name not in PYRAMIDS]


def random_images(family, count=2):
    return torch.randn(count, 3, *size_of(family), generator=torch.Generator().manual_seed(3))


def tower_of(family, **arguments):
    """A tower of one's own, to train or change."""
    _, visual = library_and_tower(family)
    visual = copy.deepcopy(visual)
    return tower_class(visual)(visual, **arguments)


def last_block_input(trunk, images):
    """What timm gives to the last block."""
    seen = []
    hook = trunk.blocks[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    trunk.forward_features(images)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_of_eva02_is_what_its_paper_says(name):
    """Rotary places turn queries and keys but for DeCLIP; the norm inside follows the heads."""
    library, visual = library_and_tower("eva02")
    images = random_images("eva02", 1)
    trunk = copy.deepcopy(library.visual.trunk)
    trunk.set_input_size(img_size=images.shape[2:])
    with torch.no_grad():
        tokens = last_block_input(trunk, images)[0]
        block, attention = trunk.blocks[-1], trunk.blocks[-1].attn
        normed, rope = block.norm1(tokens), trunk.rope.get_embed()
        q, k, v = attention.q_proj(normed), attention.k_proj(normed), attention.v_proj(normed)
        heads = []
        for one in range(attention.num_heads):
            q1, k1, v1 = (x.chunk(attention.num_heads, 1)[one] for x in (q, k, v))
            if name != "declip":
                q1, k1 = (
                    torch.cat((x[:1], apply_rot_embed_cat(x[None, None, 1:], rope)[0, 0]))
                    for x in (q1, k1)
                )
            near = gaussian(4, 6, 1).float()
            heads.append(WEIGHTS[name](q1, k1, near) @ v1)
        output = attention.proj(attention.norm(torch.cat(heads, 1)))
        if name not in ATTENTION_ALONE:
            output = output + (tokens[0] if name == "fgaseg" else tokens)
            output = output + block.mlp(block.norm2(output))
        expected = trunk.head(trunk.norm(output))[1:]
        expected = F.normalize(expected, dim=1) if name == "declip" else expected
        tower = tower_class(visual)(visual, dense_reading=name).eval()
        actual = tower(images)[DENSE][0].flatten(1).T
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", VITS)
def test_every_reading_has_its_map_and_leaves_the_global_embedding_alone(family):
    images, maps, pooled = random_images(family), [], []
    for name in READINGS:
        _, visual = library_and_tower(family)
        tower = tower_class(visual)(visual, dense_reading=name).eval()
        with torch.no_grad():
            found = tower(images, outputs=(DENSE, GLOBAL))
        assert found[DENSE].isfinite().all()
        maps.append(found[DENSE])
        pooled.append(found[GLOBAL])
    for other in pooled[1:]:
        torch.testing.assert_close(other, pooled[0], atol=1e-4, rtol=1e-4)
    names = list(READINGS)
    for index, one in enumerate(maps):
        for second, other in enumerate(maps[:index]):
            # Without a CLS token to stand on, FGAseg's reading is MaskCLIP's.
            same = {names[index], names[second]} == {"fgaseg", "maskclip"}
            without_cls = family in ("siglip", "siglip2", "vitamin")
            assert torch.equal(one, other) == (same and without_cls), (names[index], names[second])


@pytest.mark.parametrize("family", VITS)
def test_prompts_join_the_tokens_and_are_no_places(family):
    tower, images = tower_of(family, dense_reading="clip").eval(), random_images(family)
    blocks, width = tower.token_shape
    prompts = [torch.randn(2, width) for _ in range(blocks)]
    with torch.no_grad():
        plain = tower(images, outputs=(DENSE, GLOBAL))
        changed = tower(images, outputs=(DENSE, GLOBAL), prompts=prompts)
        final = tower(images, outputs=(DENSE, GLOBAL), final=lambda states: 2 * states)
    for name, maps in plain.items():
        assert changed[name].shape == maps.shape
        assert not torch.allclose(changed[name], maps, atol=1e-4)
        # A norm follows, so that twice the states are the same up to its epsilon.
        torch.testing.assert_close(final[name], maps, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("family", PYRAMIDS)
def test_a_tower_without_tokens_takes_no_prompts(family):
    tower, images = tower_of(family), random_images(family, 1)
    for call in (
        lambda: tower.token_shape,
        lambda: tower.train_only("prompt"),
        lambda: tower(images, prompts=[torch.zeros(1, 1)]),
        lambda: tower(images, final=torch.nn.Identity()),
        lambda: tower.drop_paths(0.1),
    ):
        with pytest.raises(ValueError, match="expected .*tower of t") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", (*FAMILIES, *IMAGE_ONLY))
@pytest.mark.parametrize("mode", ["frozen", "attention", "full", "scratch"])
def test_what_trains_gets_a_gradient_and_nothing_else_moves(family, mode):
    """AdamW with decay: whatever shares a tensor with a trained weight would move."""
    tower, images = tower_of(family), random_images(family)
    tower.train_only(mode)
    tower.train()
    before = {name: tensor.clone() for name, tensor in tower.state_dict().items()}
    trained = {name: p for name, p in tower.named_parameters() if p.requires_grad}
    if mode == "attention" and family not in PYRAMIDS:
        assert {name.rsplit(".", 2)[-2] for name in trained} == {"q_proj", "v_proj"}
        assert all(name.endswith(".weight") for name in trained)
    nothing = mode == "frozen" or (mode == "attention" and family in PYRAMIDS)
    assert (not trained) == nothing
    if nothing:
        return
    optimizer = torch.optim.AdamW(trained.values(), lr=0.1, weight_decay=0.5)
    sum(maps.square().mean() for maps in tower(images).values()).backward()
    assert [name for name, p in trained.items() if p.grad is None] == []
    optimizer.step()
    after = tower.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    if mode in ("full", "scratch"):
        # Norms that train count what they see.
        moved -= {name for name in moved if "running_" in name or "num_batches" in name}
    assert moved == set(trained)


@pytest.mark.parametrize("family", ["siglip", "pe_core"])
def test_what_an_attention_pooling_asks_does_not_train(family):
    """Its gradient is exactly 0 where a token is alone, and decay would shrink it all the same."""
    tower, images = tower_of(family), random_images(family)
    before = tower(images)
    pool = trunk_of(tower.visual).attn_pool
    asks = {"latent": pool.latent, "q.weight": pool.q.weight, "q.bias": pool.q.bias}
    with torch.no_grad():
        for parameter in asks.values():
            parameter.add_(torch.randn_like(parameter))
    for name, maps in tower(images).items():
        torch.testing.assert_close(maps, before[name])
    tower.train_only("scratch")
    frozen = {name for name, p in pool.named_parameters() if not p.requires_grad}
    assert frozen == set(asks)
    sum(maps.square().mean() for maps in tower(images).values()).backward()
    assert all(p.grad.any() for p in pool.parameters() if p.requires_grad)


@pytest.mark.parametrize(("family", "model"), [("swin", "SwinT"), ("fastvit", "FastVit")])
def test_packed_attention_is_said_not_to_train(family, model, caplog):
    tower_of(family).train_only("attention")
    assert f"({model}" in caplog.text
    assert "no attention whose queries and values have weights of their own" in caplog.text


@pytest.mark.parametrize("family", ["eva02", "siglip2", "convnext", "resnet"])
def test_gradient_checkpointing_changes_no_gradient(family):
    gradients = []
    for enabled in (False, True):
        tower = tower_of(family, gradient_checkpointing=enabled)
        tower.train_only("full")
        tower.train()
        maps = tower(random_images(family))
        sum(one.square().mean() for one in maps.values()).backward()
        gradients.append([p.grad for p in tower.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def process_group():
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("family", "mode"),
    [("eva02", "attention"), ("siglip2", "full"), ("dinov3", "attention"), ("convnext", "full")],
)
def test_training_is_clean_under_ddp(family, mode, process_group):
    """A parameter that a step does not reach would stop the next one."""
    tower = tower_of(family, gradient_checkpointing=True)
    tower.train_only(mode)
    wrapped = DistributedDataParallel(tower.train())
    for _ in range(2):
        sum(maps.square().mean() for maps in wrapped(random_images(family)).values()).backward()
    assert all(p.grad is not None for p in tower.parameters() if p.requires_grad)


@pytest.mark.parametrize("family", ["eva02", "coca", "dinov3", "fastvit"])
def test_a_round_trip_through_a_state_dict(family):
    first, second = tower_of(family).eval(), tower_of(family).eval()
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(1)
    second.load_state_dict(first.state_dict())
    images = random_images(family, 1)
    with torch.no_grad():
        for name, maps in first(images, outputs=(DENSE, GLOBAL)).items():
            assert torch.equal(second(images, outputs=(DENSE, GLOBAL))[name], maps)


def test_paths_are_dropped_in_training_alone():
    tower, images = tower_of("eva02", dense_reading="clip"), random_images("eva02", 4)
    tower.drop_paths(0.9)
    with torch.no_grad():
        expected = tower.eval()(images)[DENSE]
        torch.testing.assert_close(tower(images)[DENSE], expected)
        assert not torch.allclose(tower.train()(images)[DENSE], expected)


def test_a_tower_drops_no_paths_of_its_own():
    """open_clip's ConvNeXt brings stochastic depth, which would disturb frozen features."""
    tower, images = tower_of("convnext"), random_images("convnext")
    tower.train_only("frozen")
    with torch.no_grad():
        assert torch.equal(tower.train()(images)[DENSE], tower.eval()(images)[DENSE])


def test_the_last_block_can_be_a_level():
    tower, images = tower_of("eva02", levels={"last": 2}).eval(), random_images("eva02")
    trunk = trunk_of(copy.deepcopy(library_and_tower("eva02")[0].visual))
    trunk.set_input_size(img_size=images.shape[2:])
    with torch.no_grad():
        (expected,) = trunk.forward_intermediates(images, indices=[2], intermediates_only=True)
        torch.testing.assert_close(tower(images)["last"], expected, atol=1e-4, rtol=1e-4)
    tower.train_only("full")
    assert all(p.requires_grad for p in tower.blocks[-1].parameters()), "a level depends on all"
    with pytest.raises(ValueError, match="blocks from 0 to 2 of this tower, got .'last': 3"):
        tower_of("eva02", levels={"last": 3})


def test_sizes_that_a_model_does_not_take_are_one_line():
    tower = tower_of("swin")
    with pytest.raises(ValueError, match="expected pictures of 224 x 224 for this tower, got 96 x"):
        tower(torch.zeros(1, 3, 96, 160))


def test_what_no_tower_can_be_made_of_is_refused():
    with pytest.raises(ValueError, match="type Linear; choose such as ViT-B-16, EVA02-B-16, ViT-B"):
        tower_class(torch.nn.Linear(2, 2))
