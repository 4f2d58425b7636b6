"""One configuration for each row of the paper's Tables II to VII, different in what its name says.

Table I compares methods; its two rows of FGAseg are vitb16_384.yaml and vitl14_336.yaml.
"""

import pytest

from fgaseg_d2.config.loading import load_config
from tests.conftest import ROOT, build_small

FOLDER = ROOT / "configs" / "fgaseg" / "ablations"
P2T, LCS, LOSS = "MODEL.FGASEG.P2T.", "MODEL.FGASEG.LCS.", "MODEL.FGASEG.LOSS."
FAST, FUSION = "MODEL.FGASEG.FAST.", "MODEL.FGASEG.FUSION"
TUNE, PROMPT = "MODEL.CLIP.FINETUNE", "MODEL.CLIP.PROMPT_"
NO_LCS, NO_T2P, FROZEN = (LCS + "ENABLED", False), (LOSS + "T2P_WEIGHT", 0.0), (TUNE, "frozen")

# Name -> what the model has to be. Values of the base are listed where the row is about them.
ROWS = {
    "table2_none": [(P2T + "LAYERS", 0), NO_T2P, NO_LCS],
    "table2_p2tformer": [(P2T + "LAYERS", 1), NO_T2P, NO_LCS],
    "table2_p2tformer_t2p_loss": [(P2T + "LAYERS", 1), (LOSS + "T2P_WEIGHT", 0.02), NO_LCS],
    "table2_p2tformer_t2p_loss_lcs": [(LCS + "ENABLED", True), (LOSS + "T2P_WEIGHT", 0.02)],
    "table3a_frozen_without_p2tformer": [FROZEN, (P2T + "LAYERS", 0)],
    "table3a_frozen_with_p2tformer": [FROZEN, (P2T + "LAYERS", 1)],
    **{f"table3b_layers_{n}": [(P2T + "LAYERS", n)] for n in range(1, 8)},
    "table3c_gamma_trainable": [(P2T + "GAMMA_TRAINABLE", True)],
    **{
        f"table3c_gamma_{gamma}": [(P2T + "GAMMA", gamma), (P2T + "GAMMA_TRAINABLE", False)]
        for gamma in (0.01, 0.1, 0.5, 1.0, 5.0)
    },
    **{
        f"table3d_t2p_weight_{weight}": [(LOSS + "T2P_WEIGHT", weight)]
        for weight in (0.002, 0.005, 0.02, 0.2, 0.5, 1.0, 5.0)
    },
    **{f"table4a_kernel_{size}": [(LCS + "KERNEL_SIZE", size)] for size in range(1, 16, 2)},
    "table4b_no_kernel_norm": [(LCS + "KERNEL_NORM", False)],
    "table4b_kernel_norm": [(LCS + "KERNEL_NORM", True)],
    **{
        f"table5_{decoder}_{fusion}": [(FAST + "ENABLED", decoder == "fast"), (FUSION, fusion)]
        for decoder in ("fast", "nofast")
        for fusion in ("cat", "add")
    },
    **{
        f"table6_top_{n}": [(FAST + "ENABLED", True), (FAST + "KEEP", n)] for n in (1, 4, 8, 16, 32)
    },
    "table7_prompt_16": [(TUNE, "prompt"), (PROMPT + "LENGTH", 16), (PROMPT + "DEPTH", 12)],
    "table7_attention": [(TUNE, "attention")],
    "table7_full": [(TUNE, "full")],
}


def leaves(node, prefix=""):
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.fixture(scope="module")
def base():
    return dict(leaves(load_config("vitb16_384", device="cpu")))


def test_every_row_has_its_file():
    assert {path.stem for path in FOLDER.iterdir()} == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_differs_from_the_base_in_what_its_name_says(base, name):
    cfg = dict(leaves(load_config(FOLDER / f"{name}.yaml", device="cpu")))
    changed = {key: value for key, value in cfg.items() if base[key] != value}
    assert changed == {key: value for key, value in ROWS[name] if base[key] != value}
    assert dict(ROWS[name]).items() <= cfg.items()


@pytest.mark.parametrize(
    "name",
    [
        *("table2_none", "table2_p2tformer", "table3a_frozen_without_p2tformer"),
        *("table3c_gamma_0.5", "table4a_kernel_15", "table4b_no_kernel_norm", "table5_fast_add"),
        *("table6_top_1", "table7_prompt_16", "table7_full"),
    ],
)
def test_a_row_can_be_built(name):
    # The small CLIP has fewer blocks.
    values = dict(ROWS[name]) | ({PROMPT + "DEPTH": 2} if "prompt" in name else {})
    model = build_small(*(word for item in values.items() for word in item))
    tuned = sum(p.numel() for p in model.clip_parameters() if p.requires_grad)
    assert bool(tuned) == (dict(ROWS[name]).get(TUNE) != "frozen")
