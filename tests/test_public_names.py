"""Names that README, docs and `__all__` print: what is built on them must keep working."""

import importlib
import inspect
import re
import warnings

import pytest

from tests.conftest import ROOT

# A name may join; one that goes or moves keeps its old import for a release, with a warning.
PUBLIC = {
    "fgaseg_d2": ("OpenVocabPredictor", "Vocabulary", "add_fgaseg_config"),
    "fgaseg_d2.checkpoint": ("FGASegCheckpointer", "LoadReport", "recognise"),
    "fgaseg_d2.config": ("add_fgaseg_config",),
    "fgaseg_d2.config_files": ("find_config", "load_config"),
    "fgaseg_d2.data": ("register_benchmarks", "register_folders", "register_storybook"),
    "fgaseg_d2.data.mapper": ("SemanticMapper",),
    "fgaseg_d2.data.storybook": (
        *("FULL_CLASSES", "PRODUCTS", "SEEN_CLASSES", "STUFF_CLASSES", "TRAINING_PRODUCTS"),
        *("UNSEEN_CLASSES", "Scene", "draw_scene", "find_products", "register_storybook"),
        "write_dataset",
    ),
    "fgaseg_d2.data.storybook.vocabularies": ("GENERALIZED",),
    "fgaseg_d2.engine": ("FGASegTrainer",),
    "fgaseg_d2.evaluation": ("SegmentationEvaluator",),
    "fgaseg_d2.evaluation.truth": ("GroundTruth",),
    "fgaseg_d2.explanation": ("Explanation",),
    "fgaseg_d2.modeling.clip": (
        *("CLIPPretraining", "CLIPTextEncoder", "CLIPViT", "DenseCLIPHead"),
        *("build_tokenizer", "load_clip", "load_image_tower", "resolve_templates"),
    ),
    "fgaseg_d2.modeling.clip.loading": ("PretrainedWeightsError",),
    "fgaseg_d2.modeling.fgaseg": ("FGASeg", "FGASegHead"),
    "fgaseg_d2.modeling.fgaseg.aggregation": ("Aggregation", "Fusion"),
    "fgaseg_d2.modeling.fgaseg.decoder": ("Decoder",),
    "fgaseg_d2.modeling.fgaseg.losses": ("FGASegCriterion", "T2PBranch"),
    "fgaseg_d2.modeling.fgaseg.p2tformer": ("P2Tformer",),
    "fgaseg_d2.modeling.fgaseg.supplementation": ("LocalSimilarity",),
    "fgaseg_d2.predictor": ("OpenVocabPredictor",),
    "fgaseg_d2.segmentation": ("Segmentation",),
    "fgaseg_d2.vocabulary": ("Vocabulary",),
}
PARAMETERS = {
    ("fgaseg_d2", "OpenVocabPredictor"): ("config", "weights", "device", "opts"),
    ("fgaseg_d2", "Vocabulary"): ("classes", "background", "synonyms", "background_threshold"),
    ("fgaseg_d2", "add_fgaseg_config"): ("cfg",),
    ("fgaseg_d2.config_files", "load_config"): ("config", "opts", "weights", "device"),
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_can_be_imported(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = importlib.import_module(module)
        missing = [name for name in PUBLIC[module] if not hasattr(found, name)]
    assert missing == []


@pytest.mark.parametrize(("module", "name"), PARAMETERS)
def test_public_calls_keep_their_first_parameters(module, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
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
