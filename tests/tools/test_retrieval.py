"""tools/retrieval.py: recall against counting, and a CLIP measured by the command."""

import re

import open_clip
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch.nn import functional as F

from tests.conftest import ROOT, tool

NAME = str(ROOT / "tests/data/clip/Small-ViT-8.json")


def test_recall_is_what_counting_gives():
    torch.manual_seed(0)
    owners = torch.tensor([0, 0, 1, 2, 2, 2, 3, 4])
    similarity = torch.randn(5, 8)
    found = tool("retrieval").recall(similarity, owners, (1, 2, 20))
    for rank in (1, 2, 20):
        hits = 0
        for picture, row in enumerate(similarity.tolist()):
            order = sorted(range(8), key=lambda t: -row[t])[:rank]
            hits += any(owners[t] == picture for t in order)
        assert found[f"picture -> caption R@{rank}"] == pytest.approx(100 * hits / 5)
        hits = 0
        for text, column in enumerate(similarity.T.tolist()):
            order = sorted(range(5), key=lambda p: -column[p])[:rank]
            hits += int(owners[text]) in order
        assert found[f"caption -> picture R@{rank}"] == pytest.approx(100 * hits / 8)


@pytest.fixture
def arguments(tmp_path):
    """Two pictures, three captions and a CLIP of random weights."""
    torch.manual_seed(1)
    open_clip.add_model_config(NAME)
    clip = open_clip.create_model("Small-ViT-8")
    safetensors.torch.save_file(clip.state_dict(), tmp_path / "clip.safetensors")
    for name, color in (("a", "red"), ("b", "navy")):
        Image.new("RGB", (40, 32), color).save(tmp_path / f"{name}.png")
    (tmp_path / "table.csv").write_text("image,caption\na.png,red\na.png,a wall\nb.png,the night\n")
    (tmp_path / "own.yaml").write_text(
        f"_BASE_: {ROOT / 'tests/data/small.yaml'}\n"
        f"MODEL: {{CLIP: {{NAME: {NAME}, IMAGE_SIZE: [64, 64]}}}}\n"
        f"DATASETS: {{CAPTIONS: [{{name: own_retrieval, file: {tmp_path / 'table.csv'}}}]}}\n"
    )
    own = ["--dataset", "own_retrieval", "--weights", str(tmp_path / "clip.safetensors")]
    return [str(tmp_path / "own.yaml"), *own], clip.eval()


def test_the_command_measures_open_clips_own_embeddings(arguments, capsys):
    command, clip = arguments
    assert tool("retrieval").main(command) == 0
    shown = capsys.readouterr().out
    assert "2 pictures, 3 captions" in shown
    mean, std = (
        255 * torch.tensor(values).view(3, 1, 1)
        for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    colors = torch.tensor([[255.0, 0, 0], [0, 0, 128]]).view(2, 3, 1, 1)
    pixels = (colors.expand(2, 3, 64, 64) - mean) / std
    tokens = open_clip.get_tokenizer("Small-ViT-8")(["red", "a wall", "the night"])
    with torch.no_grad():
        pictures = F.normalize(clip.encode_image(pixels), dim=-1)
        similarity = pictures @ clip.encode_text(tokens, normalize=True).T
    expected = tool("retrieval").recall(similarity, torch.tensor([0, 0, 1]))
    found = {name: float(value) for name, value in re.findall(r"(.*): ([\d.]+)$", shown, re.M)}
    assert found == {name: pytest.approx(value, abs=0.06) for name, value in expected.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--dataset", "storybook_val"], "expected a dataset with captions, got 'storybook_val'"),
        (["--weights", ""], "expected a CLIP file in --weights, got none"),
        (["--dataset", "own_retrievel"], "dataset 'own_retrievel' is not registered"),
    ],
)
def test_what_cannot_be_measured_is_one_line(arguments, change, message, capsys):
    assert tool("retrieval").main([*arguments[0], *change]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
