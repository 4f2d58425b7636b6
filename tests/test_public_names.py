"""Names that README, docs and `__all__` print: what is built on them must keep working."""

import importlib
import inspect
import re
import sys

import pytest

from tests.conftest import ROOT

# A name may join; one that goes or moves keeps its old import for a release, with a warning.
PUBLIC = {
    "fgaseg_d2": ("OpenVocabPredictor", "Vocabulary", "add_fgaseg_config"),
    "fgaseg_d2.checkpoint": ("FGASegCheckpointer", "LoadReport", "recognise"),
    "fgaseg_d2.config": ("add_fgaseg_config", "find_config", "load_config"),
    "fgaseg_d2.data": (
        *("register_benchmarks", "register_caption_shards", "register_captions"),
        *("register_folders", "register_storybook"),
    ),
    "fgaseg_d2.data.mappers": ("CaptionMapper", "SegmentMapper", "SemanticMapper"),
    "fgaseg_d2.engine": ("FGASegTrainer",),
    "fgaseg_d2.evaluation": ("SegmentationEvaluator",),
    "fgaseg_d2.evaluation.truth": ("GroundTruth",),
    "fgaseg_d2.methods.clip_pretraining": ("CLIPPretraining",),
    "fgaseg_d2.methods.dense_clip": ("DenseCLIP", "DenseCLIPHead"),
    "fgaseg_d2.methods.fgaseg": ("FGASeg", "FGASegHead"),
    "fgaseg_d2.methods.fgaseg.aggregation": ("Aggregation", "Fusion"),
    "fgaseg_d2.methods.fgaseg.decoder": ("Decoder",),
    "fgaseg_d2.methods.fgaseg.losses": ("FGASegCriterion",),
    "fgaseg_d2.methods.fgaseg.p2tformer": ("P2Tformer",),
    "fgaseg_d2.methods.fgaseg.supplementation": ("LocalSimilarity",),
    "fgaseg_d2.methods.fgaseg.t2p": ("T2PBranch",),
    "fgaseg_d2.modeling.segmentor": ("OpenVocabSegmentor",),
    "fgaseg_d2.modeling.text": ("CLIPTextEncoder", "resolve_templates"),
    "fgaseg_d2.modeling.towers": ("CLIPViT", "build_tokenizer", "load_clip", "load_image_tower"),
    "fgaseg_d2.predict": ("Explanation", "OpenVocabPredictor", "Segmentation"),
    "fgaseg_d2.storybook": (
        *("FULL_CLASSES", "PRODUCTS", "SEEN_CLASSES", "STUFF_CLASSES", "TRAINING_PRODUCTS"),
        *("UNSEEN_CLASSES", "Scene", "draw_scene", "find_products", "write_dataset"),
    ),
    "fgaseg_d2.storybook.vocabularies": ("GENERALIZED",),
    "fgaseg_d2.vocabulary": ("Vocabulary",),
}
# Where they were in 0.1.
OLD = {
    "fgaseg_d2.config_files": ("find_config", "load_config"),
    "fgaseg_d2.data.mapper": ("SemanticMapper",),
    "fgaseg_d2.data.storybook": (
        *PUBLIC["fgaseg_d2.storybook"],
        "register_storybook",
    ),
    "fgaseg_d2.data.storybook.vocabularies": ("GENERALIZED",),
    "fgaseg_d2.explanation": ("Explanation",),
    "fgaseg_d2.modeling.clip": (
        *("CLIPPretraining", "CLIPTextEncoder", "CLIPViT", "DenseCLIPHead"),
    ),
    "fgaseg_d2.modeling.clip.loading": ("PretrainedWeightsError",),
    "fgaseg_d2.modeling.fgaseg": ("FGASeg", "FGASegHead"),
    "fgaseg_d2.predictor": ("OpenVocabPredictor",),
    "fgaseg_d2.segmentation": ("Segmentation",),
}
PARAMETERS = {
    ("fgaseg_d2", "OpenVocabPredictor"): ("config", "weights", "device", "opts"),
    ("fgaseg_d2", "Vocabulary"): ("classes", "background", "synonyms", "background_threshold"),
    ("fgaseg_d2", "add_fgaseg_config"): ("cfg",),
    ("fgaseg_d2.config", "load_config"): ("config", "opts", "weights", "device"),
    ("fgaseg_d2.modeling.text", "resolve_templates"): ("value",),
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_can_be_imported(module):
    found = importlib.import_module(module)
    assert [name for name in PUBLIC[module] if not hasattr(found, name)] == []


@pytest.mark.parametrize("module", OLD)
def test_old_names_can_still_be_imported_with_a_warning(module, monkeypatch):
    """They are the objects of today, not copies that would be registered a second time."""
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.warns(FutureWarning, match=f"{module} is now fgaseg_d2"):
        found = importlib.import_module(module)
    today = {
        name: value
        for names in map(vars, map(importlib.import_module, PUBLIC))
        for name, value in names.items()
    }
    for name in OLD[module]:
        assert getattr(found, name) is today.get(name, getattr(found, name))


@pytest.mark.parametrize(("module", "name"), PARAMETERS)
def test_public_calls_keep_their_first_parameters(module, name):
    call = getattr(importlib.import_module(module), name)
    wanted = PARAMETERS[module, name]
    assert tuple(inspect.signature(call).parameters)[: len(wanted)] == wanted


def test_every_import_that_the_documentation_prints_is_listed():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    printed = {
        (module, name.strip())
        for page in pages
        for module, names in re.findall(
            r"^from (fgaseg_d2[\w.]*) import ([\w, ]+)", page.read_text(encoding="utf-8"), re.M
        )
        for name in names.split(",")
    }
    assert ("fgaseg_d2", "OpenVocabPredictor") in printed
    assert {(m, n) for m, n in printed if n not in PUBLIC.get(m, ())} == set()
