"""CAT-Seg on EVA02-CLIP as DeCLIP's authors publish it: recognised, converted, exact."""

import copy
import logging

import open_clip
import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.methods.fgaseg.parameter_names import to_reference
from fgaseg_d2.modeling.towers import build_tokenizer, load_image_tower
from tests.conftest import build_small
from tests.towers import excite, library_and_tower, small_clip

CLIP = "sem_seg_head.predictor.clip_model."
CATSEG = (
    *("MODEL.FGASEG.P2T.LAYERS", 0, "MODEL.FGASEG.LCS.ENABLED", False),
    *("MODEL.FGASEG.LOSS.T2P_WEIGHT", 0.0),
)
TOWER = ("MODEL.CLIP.NAME", small_clip("eva02"), "MODEL.CLIP.IMAGE_SIZE", [128, 128])
READ = ("MODEL.CLIP.DENSE_READING", "declip", "MODEL.CLIP.POSITION_RESIZE", "bicubic")
WORDS = ("cat", "dog", "sky")


def authors_names(clip):
    """A CLIP of open_clip under the names of EVA-CLIP's code, written from that code."""
    renamed = {
        "attn.q_proj.bias": "attn.q_bias",
        "attn.v_proj.bias": "attn.v_bias",
        "attn.norm.": "attn.inner_attn_ln.",
        "mlp.norm.": "mlp.ffn_ln.",
        "mlp.fc1_g.": "mlp.w1.",
        "mlp.fc1_x.": "mlp.w2.",
        "mlp.fc2.": "mlp.w3.",
    }
    state = {}
    for name, tensor in clip.state_dict().items():
        for ours, theirs in renamed.items():
            name = name.replace(ours, theirs) if name.startswith("visual.") else name
        state[name.replace("visual.trunk.", "visual.")] = tensor
    # One table of rotary embeddings, which every block refers to.
    for part in ("visual.", "visual.blocks.0.attn.", "visual.blocks.1.attn."):
        state[f"{part}rope.freqs_cos"] = state[f"{part}rope.freqs_sin"] = torch.zeros(196, 32)
    return state


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Open_clip's CLIP, the head of a CAT-Seg, and the file that their authors would write."""
    clip, _ = library_and_tower("eva02")
    head = excite(build_small(*TOWER, *CATSEG, *READ, seed=3).sem_seg_head)
    state = to_reference({f"sem_seg_head.{name}": t for name, t in head.state_dict().items()})
    state |= {f"{CLIP}{name}": tensor for name, tensor in authors_names(clip).items()}
    path = tmp_path_factory.mktemp("eva") / "model_final.pth"
    torch.save({"model": state, "iteration": 79999}, path)
    return clip, head, path


def authors_features(clip, images):
    """What their code computes of normalised pictures, with open_clip's modules."""
    trunk = copy.deepcopy(clip.visual.trunk)
    grid = [side // 16 for side in images.shape[2:]]
    table, side = trunk.pos_embed.detach(), trunk.patch_embed.grid_size
    places = table[:, 1:].transpose(1, 2).unflatten(2, side)
    places = F.interpolate(places, grid, mode="bicubic", align_corners=False).flatten(2)
    trunk.set_input_size(img_size=images.shape[2:])
    trunk.pos_embed.data = torch.cat((table[:, :1], places.transpose(1, 2)), 1)
    seen = []
    for block in trunk.blocks:
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    trunk.forward_features(images)
    last, attention = trunk.blocks[-1], trunk.blocks[-1].attn
    normed = last.norm1(seen[-1])
    q, k, v = (
        layer(normed).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        for layer in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    weights = sum((x @ x.transpose(2, 3)).softmax(-1) for x in (q, k))
    output = attention.proj(attention.norm((weights @ v).transpose(1, 2).flatten(2)))
    dense = F.normalize(trunk.head(trunk.norm(output[:, 1:])), dim=-1)
    levels = {"guidance_early": seen[1], "guidance_late": seen[2]}  # of 3 blocks: behind 0 and 1
    maps = {name: tokens[:, 1:] for name, tokens in levels.items()} | {"dense": dense}
    return {name: x.transpose(1, 2).unflatten(2, grid) for name, x in maps.items()}


def test_it_computes_what_its_authors_code_does(published):
    clip, head, path = published
    model = build_small(*TOWER, *CATSEG, *READ, seed=8)
    FGASegCheckpointer(model).load(str(path))
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    prompts = build_tokenizer(small_clip("eva02"))(
        [f"A photo of a {w} in the scene" for w in WORDS]
    )
    with torch.no_grad():
        text = clip.encode_text(prompts, normalize=True)
        expected = head(authors_features(clip, images), text)["logits"]
        actual = model.sem_seg_head(model.backbone(images), model.text_encoder(
            tuple((word,) for word in WORDS)
        ))["logits"]  # fmt: skip
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 1e-3


def test_it_is_an_fgaseg_with_parts_that_start_without_effect(published, caplog):
    _, _, path = published
    checkpointer = FGASegCheckpointer(build_small(*TOWER, *READ, seed=8))
    checkpointer.load(str(path))
    report = checkpointer.report
    assert (report.kind, report.missing, report.unexpected) == ("CAT-Seg on EVA02-CLIP", (), ())
    assert report.added
    assert "were trained with" not in caplog.text


def test_another_reading_is_said(published, caplog):
    _, _, path = published
    with caplog.at_level(logging.WARNING):
        FGASegCheckpointer(build_small(*TOWER, *CATSEG, seed=8)).load(str(path))
    assert "DENSE_READING declip and MODEL.CLIP.POSITION_RESIZE bicubic" in caplog.text


def test_it_is_not_written_in_their_format():
    model = build_small(*TOWER, *CATSEG, *READ)
    with pytest.raises(ValueError, match="only an FGAseg with a CLIP like OpenAI's"):
        to_reference(model.state_dict())


def test_a_clip_under_its_authors_names_is_read(tmp_path):
    """EVA-CLIP's own files, CLIPSelf's and DeCLIP's, as MODEL.CLIP.PRETRAINED."""
    clip, visual = library_and_tower("eva02")
    path = tmp_path / "EVA02_CLIP_B_psz16_s8B.pt"
    torch.save(authors_names(clip), path)
    loaded = load_image_tower(small_clip("eva02"), str(path))
    state = visual.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in loaded.state_dict().items())


@pytest.mark.slow
def test_the_real_sizes_are_those_of_the_authors_code():
    """B/16 and L/14-336: widths and blocks, from EVA-CLIP's model configurations."""
    sizes = (("EVA02-B-16", 768, 12, 224), ("EVA02-L-14-336", 1024, 24, 336))
    for name, width, depth, image in sizes:
        trunk = open_clip.create_model(name).visual.trunk
        assert (trunk.embed_dim, len(trunk.blocks)) == (width, depth)
        assert trunk.patch_embed.img_size == (image, image)
        assert trunk.rope.ref_feat_shape == (16, 16)
        assert trunk.blocks[0].mlp.fc1_g.out_features == int(width * 2.6667)
