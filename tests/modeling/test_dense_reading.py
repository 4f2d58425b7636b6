"""The readings of CLIP's last block, each against a plain computation from its paper's formula."""

import copy
import json
import math

import open_clip
import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2.modeling.towers.clip_vit import CLIPViT
from fgaseg_d2.modeling.towers.dense_reading import READINGS, neighbourhood
from fgaseg_d2.modeling.towers.loading import split_attention
from tests.conftest import ROOT, build_small

# How much a token of head h takes of another one, from q, k (L x E) and the places of the tokens.
WEIGHTS = {
    "clip": lambda q, k, near: (q @ k.T / math.sqrt(q.shape[1])).softmax(1),
    "maskclip": lambda q, k, near: torch.eye(len(q), dtype=q.dtype),
    "fgaseg": lambda q, k, near: torch.eye(len(q), dtype=q.dtype),
    "sclip": lambda q, k, near: (
        (q @ q.T / math.sqrt(q.shape[1])).softmax(1) + (k @ k.T / math.sqrt(q.shape[1])).softmax(1)
    ),
    "naclip": lambda q, k, near: (k @ k.T / math.sqrt(q.shape[1]) + near).softmax(1),
    "clearclip": lambda q, k, near: (q @ q.T / math.sqrt(q.shape[1])).softmax(1),
    "declip": lambda q, k, near: (q @ q.T).softmax(1) + (k @ k.T).softmax(1),
    # What it averages; tests/methods/test_proxyclip.py asks how.
    "proxyclip": lambda q, k, near: torch.eye(len(q), dtype=q.dtype),
}
ATTENTION_ALONE = ("naclip", "clearclip", "declip", "proxyclip")


def read_as(name):
    """Settings of the smallest model with a reading."""
    opts = ("MODEL.CLIP.DENSE_READING", name)
    if name != "proxyclip":
        return opts
    method = ("MODEL.META_ARCHITECTURE", "DenseCLIP")
    return (*opts, *method, "MODEL.DENSE_CLIP.PROXY.NAME", "test_vit")


def random_towers(tmp_path, **vision):
    """A tower of open_clip with norms and biases that are not trivial: as it comes, and split."""
    cfg = json.loads((ROOT / "tests/data/clip/Small-ViT-8.json").read_text())
    cfg["vision_cfg"] |= vision
    path = tmp_path / "reading-vit.json"
    path.write_text(json.dumps(cfg))
    open_clip.add_model_config(path)
    torch.manual_seed(5)
    visual = open_clip.create_model(path.stem).visual.eval()
    with torch.no_grad():
        for name, parameter in visual.named_parameters():
            # Random weights attend to all tokens nearly alike.
            scale = 8 if "in_proj_weight" in name else 1
            parameter.mul_(scale).add_(0.1 * torch.randn_like(parameter))
    split = copy.deepcopy(visual)
    split_attention(split)
    return visual.double(), split.double()


def gaussian(height, width, front):
    near = torch.zeros(front + height * width, front + height * width, dtype=torch.float64)
    for one in range(height * width):
        for other in range(height * width):
            dy, dx = one // width - other // width, one % width - other % width
            near[front + one, front + other] = math.exp(-(dy**2 + dx**2) / (2 * 5**2))
    return near


def by_hand(visual, image, name):
    """One image 1 x 3 x H x W -> C x h x w, with open_clip's packed attention."""
    patches = visual.conv1(image)[0]
    height, width = patches.shape[1:]
    position = visual.positional_embedding[1:].T.view(1, -1, *visual.grid_size).float()
    position = F.interpolate(position, (height, width), mode="bicubic").double()[0].flatten(1).T
    tokens = torch.cat(
        (
            (visual.class_embedding + visual.positional_embedding[0])[None],
            patches.flatten(1).T + position,
        )
    )
    tokens = visual.ln_pre(tokens)
    for earlier in visual.transformer.resblocks[:-1]:
        tokens = earlier(tokens[None])[0]
    block = visual.transformer.resblocks[-1]
    normed, attention = block.ln_1(tokens), block.attn
    q, k, v = (normed @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=1)
    near = gaussian(height, width, 1)
    heads = [
        WEIGHTS[name](*(x.chunk(attention.num_heads, 1)[head] for x in (q, k)), near)
        @ v.chunk(attention.num_heads, 1)[head]
        for head in range(attention.num_heads)
    ]
    output = torch.cat(heads, 1) @ attention.out_proj.weight.T + attention.out_proj.bias
    output = block.ls_1(output)
    if name not in ATTENTION_ALONE:
        output = output + (tokens[0] if name == "fgaseg" else tokens)
        output = output + block.ls_2(block.mlp(block.ln_2(output)))
    dense = (visual.ln_post(output) @ visual.proj)[1:]
    dense = F.normalize(dense, dim=1) if name == "declip" else dense
    return dense.T.view(-1, height, width)


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("vision", [{}, {"ls_init_value": 0.3, "no_ln_pre": True}])
def test_a_reading_is_what_its_paper_says(tmp_path, name, vision):
    visual, split = random_towers(tmp_path, **vision)
    images = torch.randn(2, 3, 40, 96, dtype=torch.float64)
    with torch.no_grad():
        expected = torch.stack([by_hand(visual, image[None], name) for image in images])
        dense = CLIPViT(split, dense_reading=name)(images)["dense"]
    assert dense.shape == (2, 32, 5, 12)
    # Position embeddings are resized in float32, NACLIP's Gaussian is computed in it.
    torch.testing.assert_close(dense, expected, atol=1e-6, rtol=1e-5)


def test_readings_differ(tmp_path):
    _, split = random_towers(tmp_path)
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        maps = [CLIPViT(split, dense_reading=name)(images)["dense"] for name in READINGS]
    for index, one in enumerate(maps):
        for other in maps[:index]:
            assert (one - other).abs().max() > 0.01


def test_the_block_as_trained_gives_open_clips_own_tokens(tmp_path):
    visual, split = random_towers(tmp_path)
    visual.output_tokens = True
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        _, tokens = visual(images)
        dense = CLIPViT(split, dense_reading="clip")(images)["dense"]
    torch.testing.assert_close(dense.flatten(2).transpose(1, 2), tokens @ visual.proj)


@pytest.mark.parametrize("reading", ["clip", "maskclip"])
@pytest.mark.parametrize(
    "pooling",
    [{}, {"pool_type": "avg"}, {"pool_type": "avg", "final_ln_after_pool": True}],
    ids=["cls", "mean", "mean-then-norm"],
)
def test_the_global_embedding_is_open_clips_own(tmp_path, pooling, reading):
    visual, split = random_towers(tmp_path, **pooling)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = visual(images)
        tower = CLIPViT(split, dense_reading=reading)
        for outputs in (("global",), ("dense", "global")):
            torch.testing.assert_close(tower(images, outputs=outputs)["global"], expected)


def test_a_mean_of_tokens_leaves_out_prompts(tmp_path):
    """Without a norm behind the mean, it is the mean of the dense map read as trained."""
    _, split = random_towers(tmp_path, pool_type="avg")
    tower = CLIPViT(split, dense_reading="clip", prompt_length=3, prompt_depth=4).double()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        maps = tower(images, outputs=("dense", "global"))
        torch.testing.assert_close(maps["global"], maps["dense"].mean((2, 3)))
        torch.testing.assert_close(tower(images, outputs=("global",))["global"], maps["global"])


@pytest.mark.parametrize("front", [0, 1, 4])
def test_neighbourhood_counts_places_alone(front):
    """Whether CLS, prompt tokens or nothing stands in front of them."""
    near = neighbourhood((3, 5), front + 15, torch.device("cpu"))
    torch.testing.assert_close(near, gaussian(3, 5, front).float())


@pytest.mark.parametrize("name", READINGS)
def test_prompt_tokens_take_part_and_are_no_places(name):
    prompts = ("MODEL.CLIP.PROMPT_LENGTH", 2, "MODEL.CLIP.PROMPT_DEPTH", 4)
    model = build_small(*prompts, *read_as(name))
    images = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = model.backbone(images)["dense"]
        model.backbone.prompt_tokens.mul_(3)
        after = model.backbone(images)["dense"]
    assert before.shape == after.shape == (1, 32, 4, 6)
    assert not torch.allclose(before, after)


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same(name, dtype):
    backbone = build_small(*read_as(name)).backbone
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = backbone(images)["dense"]
        with torch.autocast("cpu", dtype):
            dense = backbone(images)["dense"]
    assert F.cosine_similarity(dense.float(), expected).min() > 0.999


@pytest.mark.parametrize("name", READINGS)
def test_exactly_the_parts_without_effect_do_not_train(name):
    """Parameters that get no gradient would let DDP wait for ever."""
    head = ("MODEL.SEM_SEG_HEAD.NAME", "DenseCLIPHead")
    model = build_small(*read_as(name), "MODEL.CLIP.FINETUNE", "full", *head)
    block = model.train().backbone.visual.transformer.resblocks[-1]
    trains = {part for part, p in block.named_parameters() if p.requires_grad}
    block.requires_grad_(True)
    item = {"image": torch.rand(3, 64, 64) * 255, "sem_seg": torch.randint(0, 2, (64, 64))}
    sum(model([item | {"vocabulary": "cat,dog"}]).values()).backward()
    assert {part for part, p in block.named_parameters() if p.grad is not None} == trains


def test_every_reading_is_documented():
    page = (ROOT / "docs" / "TRAINING_FREE.md").read_text(encoding="utf-8")
    table = page.split("| source |")[1].split("\n\n")[0]
    assert {line.split("`")[1] for line in table.splitlines() if "`" in line} == set(READINGS)


def test_an_unknown_reading_names_those_there_are():
    with pytest.raises(ValueError, match="to be .*'clip', .* or 'proxyclip', got 'gem'"):
        build_small("MODEL.CLIP.DENSE_READING", "gem")
