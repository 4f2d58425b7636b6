"""Contrastive pretraining of CLIP: captions, the loss, and the way to FGASeg."""

import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2 import Vocabulary
from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.methods.clip_pretraining.meta_arch import describe
from tests.conftest import build_small

NAMES = ("sky", "red house", "cat", "road")
OPTS = ("MODEL.META_ARCHITECTURE", "CLIPPretraining")


def batch(count: int = 4) -> list[dict]:
    generator = torch.Generator().manual_seed(3)
    return [
        {
            "image": torch.randint(0, 256, (3, 32, 32), generator=generator, dtype=torch.uint8),
            "sem_seg": torch.full((32, 32), index % 3),
            "vocabulary": Vocabulary.from_names(NAMES),
        }
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("shares", "caption"),
    [
        ({0: 1000}, "sky"),
        ({0: 500, 2: 300}, "sky and cat"),
        ({0: 100, 1: 500, 2: 300}, "red house, cat and sky"),
        ({0: 500, 2: 5}, "sky"),  # too small to be mentioned
        ({0: 100, 1: 400, 2: 300, 3: 200}, "red house, cat and road"),  # no more than three
        ({}, "nothing"),
    ],
)
def test_captions_name_what_is_there_the_largest_first(shares, caption):
    label = torch.full((1024,), 255)
    start = 0
    for index, count in shares.items():
        label[start : start + count] = index
        start += count
    assert describe(label.view(32, 32), NAMES, 255) == caption


def test_loss_is_the_mean_of_both_directions():
    model = build_small(*OPTS).train()
    inputs = batch()
    inputs[3]["caption"] = "a house by the sea"
    loss = model(inputs)["loss_contrastive"]
    images = torch.stack([item["image"].float() for item in inputs])
    images = (images - model.pixel_mean) / model.pixel_std
    tokens = F.interpolate(images, model.image_size, mode="bilinear")
    pictures = F.normalize(model.backbone.visual(tokens), dim=1)
    texts = model.text_encoder.clip.encode_text(
        model.text_encoder.tokenizer(
            [
                *(f"A photo of a {words} in the scene" for words in ("sky", "red house", "cat")),
                "a house by the sea",  # a caption is encoded as it is
            ]
        ),
        normalize=True,
    )
    logits = pictures @ texts.T / 0.07
    truth = torch.arange(4)
    wanted = (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2
    torch.testing.assert_close(loss, wanted)


def test_matched_with_places_the_loss_is_that_of_their_smooth_maximum():
    opts = ("MODEL.CLIP_PRETRAINING.MATCH", "tokens", "MODEL.CLIP.DENSE_READING", "clip")
    model = build_small(*OPTS, *opts).train()
    inputs = [item | {"caption": f"picture {i}"} for i, item in enumerate(batch())]
    with torch.no_grad():
        model.log_scale.fill_(1.5)
    loss = model(inputs)["loss_contrastive"]
    images = torch.stack([item["image"].float() for item in inputs])
    views = F.interpolate((images - model.pixel_mean) / model.pixel_std, model.image_size,
                          mode="bilinear")  # fmt: skip
    model.backbone.visual.output_tokens = True
    _, tokens = model.backbone.visual(views)
    tokens = F.normalize(tokens @ model.backbone.visual.proj, dim=-1)
    texts = model.text_encoder.encode_sentences([item["caption"] for item in inputs])
    logits = torch.stack(
        [(tokens @ text * model.log_scale.exp()).exp().mean(1).log() for text in texts], 1
    )
    truth = torch.arange(4)
    wanted = (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2
    torch.testing.assert_close(loss, wanted)


def test_in_a_mosaic_a_caption_is_matched_with_the_places_of_its_own_picture():
    opts = ("MODEL.CLIP_PRETRAINING.MATCH", "tokens", "MODEL.CLIP.DENSE_READING", "clip")
    sharp = ("MODEL.CLIP_PRETRAINING.MOSAIC", 2, "MODEL.CLIP_PRETRAINING.SHARPNESS", 3.0)
    model = build_small(*OPTS, *opts, *sharp).train()
    inputs = [item | {"caption": f"picture {i}"} for i, item in enumerate(batch(8))]
    loss = model(inputs)["loss_contrastive"]
    images = torch.stack([item["image"].float() for item in inputs])
    views = F.interpolate((images - model.pixel_mean) / model.pixel_std, model.image_size,
                          mode="bilinear")  # fmt: skip
    side = model.image_size[0] // model.backbone.size_divisibility
    tokens = []
    for four in views.split(4):
        rows = [torch.cat((four[0], four[1]), 2), torch.cat((four[2], four[3]), 2)]
        dense = model.backbone(torch.cat(rows, 1)[None])["dense"][0]
        tokens += [
            dense[:, top : top + side, left : left + side].flatten(1).T
            for top in (0, side)
            for left in (0, side)
        ]
    tokens = F.normalize(torch.stack(tokens), dim=-1)
    texts = model.text_encoder.encode_sentences([item["caption"] for item in inputs])
    scaled = 3 * model.log_scale.exp() * tokens @ texts.T
    logits = scaled.exp().mean(1).log() / 3
    truth = torch.arange(8)
    wanted = (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2
    torch.testing.assert_close(loss, wanted)
    with pytest.raises(ValueError, match="MOSAIC 2 squared to divide the pictures .* got 7"):
        model(inputs[:7])


def test_places_are_trained_as_they_come_out_of_the_last_block():
    with pytest.raises(ValueError, match="DENSE_READING 'clip' with MODEL.CLIP_PRETRAINING.MATCH"):
        build_small(*OPTS, "MODEL.CLIP_PRETRAINING.MATCH", "tokens")


def test_captions_and_labels_of_one_batch_keep_their_places():
    model = build_small(*OPTS).train()
    inputs = batch()
    for index in (0, 2):
        inputs[index]["caption"] = f"caption {index}"
    encoder = model.text_encoder
    wanted = torch.cat(
        [
            encoder.encode_sentences(["caption 0"]),
            encoder((("red house",),)),
            encoder.encode_sentences(["caption 2"]),
            encoder((("sky",),)),
        ]
    )
    torch.testing.assert_close(model._texts(inputs), wanted)


def test_sentences_stay_as_they_are_and_are_not_kept(caplog):
    encoder = build_small(*OPTS).text_encoder
    clip, tokens = encoder.clip, encoder.tokenizer(["a cat {}", "a dog"])
    with torch.no_grad():
        found = encoder.encode_sentences(["a cat {}", "a dog"])
        torch.testing.assert_close(found, clip.encode_text(tokens, normalize=True))
        clip.token_embedding.weight.data.mul_(-1)  # behind autograd's back
        again = encoder.encode_sentences(["a cat {}", "a dog"])
        torch.testing.assert_close(again, clip.encode_text(tokens, normalize=True))
        assert (found - again).abs().max() > 1e-3
        encoder.encode_sentences(["a word " * 80])
    assert "1 of 1 captions fill CLIP's" in caplog.text


def test_every_parameter_of_the_towers_learns():
    model = build_small(*OPTS).train()
    model(batch())["loss_contrastive"].backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # The key's bias shifts all scores of a query alike, so attention does not depend on it.
    assert [name for name in still if not name.endswith("k_proj.bias")] == []


def test_fgaseg_starts_from_its_checkpoint(tmp_path):
    pretrained = build_small(*OPTS, seed=1)
    FGASegCheckpointer(pretrained, str(tmp_path)).save("clip")
    model = build_small(seed=2)
    FGASegCheckpointer(model, allow_partial=True).load(str(tmp_path / "clip.pth"))
    wanted = dict(pretrained.named_parameters())
    for name, parameter in model.named_parameters():
        if name.startswith(("backbone.", "text_encoder.")):
            torch.testing.assert_close(parameter, wanted[name], rtol=0, atol=0)


def test_it_segments_nothing():
    with pytest.raises(ValueError, match="evaluate its weights with"):
        build_small(*OPTS)(batch())
