"""What README and docs/ name exists, and the figures that they repeat are those of the source."""

import re

import pytest
from detectron2.config import get_cfg

from fgaseg_d2 import add_fgaseg_config
from fgaseg_d2.evaluation.published import ROWS
from fgaseg_d2.modeling.text.templates import SINGLE
from tests.conftest import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "demo/scenes/README.md"),
        *sorted((ROOT / "docs").rglob("*.md")),
    )
}
_FOLDERS = "configs|demo|docs|fgaseg_d2|fgaseg_d2_cli|tests|tools"


@pytest.fixture(params=PAGES)
def page(request):
    return request.param


def has_key(cfg, key):
    """Tell whether a configuration has a key, or the group that it stands for."""
    for part in key.split("."):
        if part not in cfg:
            return False
        cfg = cfg[part]
    return True


def test_every_key_exists(page):
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    named = re.findall(
        r"\b(?:MODEL|INPUT|DATASETS|DATALOADER|SOLVER|TEST)(?:\.[A-Z0-9_]+)+\b", PAGES[page]
    )
    assert [key for key in named if not has_key(cfg, key)] == []


def test_every_file_of_the_repository_exists(page):
    names = rf"(?<![\w/.-])(?:{_FOLDERS})/[\w/-]+\.(?:py|md|yaml|sh|json)\b"
    named = re.findall(names, PAGES[page])
    links = re.findall(r"\]\(([^)#:]+)\)", PAGES[page])
    folder = (ROOT / page).parent
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [name for name in links if not (folder / name).exists()] == []


def test_every_module_that_is_named_exists(page):
    """By its name or the end of its path: `head.py`, `layers/swin.py`."""
    folders = ("fgaseg_d2", "fgaseg_d2_cli", "tools", "demo", "tests")
    files = [f"/{path.relative_to(ROOT)}" for one in folders for path in (ROOT / one).rglob("*.py")]
    files += ["/train_net.py", "/setup.py", "/plain_train_net.py"]  # the last is Detectron2's
    named = set(re.findall(r"`([\w/]+\.py)`", PAGES[page]))
    assert [name for name in named if not any(file.endswith(f"/{name}") for file in files)] == []


def test_the_page_of_a_method_has_the_published_figures_beside_its_runs():
    rows = [row for row in ROWS if row.architecture]
    assert rows
    for row in rows:
        figures = " | ".join(f"{value:.1f}" for value in row.miou.values())
        data = row.method.rpartition("trained on ")[2]
        assert f"| {row.architecture}, {data} | {figures} |" in PAGES[f"docs/{row.architecture}.md"]


def test_the_reference_page_has_the_prompt_and_the_published_figures():
    text = PAGES["docs/REFERENCE_AND_PAPER.md"]
    (prompt,) = re.findall(r"^\| Prompt \|.*", text, re.MULTILINE)
    _, _, _, code, paper, _, _ = prompt.split("|")
    assert f'"{SINGLE[0]}"' in code and "a photo of" in paper

    columns = ("A-847", "PC-459", "A-150", "PC-59", "PAS-20")
    for row in ROWS:
        if row.architecture:
            continue
        figures = [f"{row.miou[column]:.1f}" for column in columns]
        if row.method.startswith("CAT-Seg"):
            assert f"{' / '.join(figures)} ({row.clip})" in text
        elif row.clip == "ViT-L/14":
            assert f"| I: {' / '.join(figures[2:])} |" in text
