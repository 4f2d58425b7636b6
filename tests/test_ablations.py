"""One row for each of the paper's Tables II to VII, different in what its name says.

Table I compares methods; its two rows of FGAseg are vitb16_384.yaml and vitl14_336.yaml.
"""

import pytest
from detectron2.config import get_cfg

from fgaseg_d2 import add_fgaseg_config
from fgaseg_d2.config.loading import find_config, load_config, read_config
from fgaseg_d2.config.rows import row_names
from fgaseg_d2.config.values import leaves
from tests.conftest import ROOT, build_small, tool

TABLE = ROOT / "configs" / "fgaseg" / "ablations.yaml"
# Where the rows were files once, as other files still name them.
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


@pytest.fixture(scope="module")
def base():
    return dict(leaves(load_config("vitb16_384", device="cpu")))


def test_every_row_is_there():
    assert sorted(row_names(TABLE)) == sorted(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_differs_from_the_base_in_what_its_name_says(base, name):
    cfg = dict(leaves(load_config(FOLDER / f"{name}.yaml", device="cpu")))
    changed = {key: value for key, value in cfg.items() if base[key] != value}
    assert changed == {key: value for key, value in ROWS[name] if base[key] != value}
    assert dict(ROWS[name]).items() <= cfg.items()
    assert find_config(name) == find_config(f"fgaseg/ablations/{name}") == FOLDER / f"{name}.yaml"


@pytest.mark.parametrize("base", [f"{FOLDER}/table3b_layers_7.yaml", "../rows/deep.yaml"])
def test_a_row_is_the_base_of_a_file(tmp_path, base):
    (tmp_path / "rows.yaml").write_text(
        f"_BASE_: {TABLE.parent}/vitb16_384.yaml\nROWS:\n  deep: {{MODEL.FGASEG.P2T.LAYERS: 7}}\n"
    )
    (tmp_path / "own").mkdir()
    own = tmp_path / "own" / "own.yaml"
    own.write_text(f"_BASE_: {base}\nMODEL:\n  FGASEG:\n    P2T:\n      GAMMA: 0.5\n")
    loaded = read_config(own, device="cpu")
    expected = ["MODEL.FGASEG.P2T.LAYERS", 7, "MODEL.FGASEG.P2T.GAMMA", 0.5]
    assert loaded.cfg == load_config("vitb16_384", expected, device="cpu")
    # What comes with the package is nobody's choice.
    others = [] if str(FOLDER) in base else ["MODEL.FGASEG.P2T.LAYERS"]
    assert list(loaded.written) == [*others, "MODEL.FGASEG.P2T.GAMMA"]


def test_a_row_may_have_a_base_of_its_own_and_sections(tmp_path):
    (tmp_path / "one.yaml").write_text("SEED: 1\n")
    (tmp_path / "two.yaml").write_text("SEED: 2\nSOLVER: {MAX_ITER: 5}\n")
    (tmp_path / "rows.yaml").write_text(
        "_BASE_: one.yaml\nROWS:\n  a:\n  b: {_BASE_: two.yaml, SOLVER: {BASE_LR: 0.5}}\n"
    )
    a, b = (load_config(tmp_path / "rows" / f"{name}.yaml", device="cpu") for name in "ab")
    assert (a.SEED, b.SEED, b.SOLVER.MAX_ITER, b.SOLVER.BASE_LR) == (1, 2, 5, 0.5)
    # A file that is there is the file.
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.yaml").write_text("SEED: 3\n")
    assert load_config(tmp_path / "rows" / "a.yaml", device="cpu").SEED == 3


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        (
            "ROWS: {a: , b: }",
            "rows/c",
            r"rows\.yaml: expected one of its rows, got 'c'; the rows are",
        ),
        ("ROWS: {kernel: }", "rows/kernal", "did you mean 'kernel'"),
        ("ROWS: {a: }", "rows", r"got a table of them; name a row, such as .*rows/a\.yaml"),
        ("ROWS: []", "rows/a", "expected ROWS with names and changes, got"),
        ("ROWS: {a: [1]}", "rows/a", "row 'a': expected keys with values, got"),
        ("ROWS: {a: {SEED: 1, SEED.X: 2}}", "rows/a", "'SEED' is both a section and a key"),
        ("ROWS: {a: {SEDE: 1}}", "rows/a", "unknown configuration key SEDE; did you mean SEED"),
        ("ROWS: {a: {_BASE_: none.yaml}}", "rows/a", r"its _BASE_ at .*none\.yaml.*got nothing"),
        ("ROWS: {a: {_BASE_: rows/a.yaml}}", "rows/a", "got a circle"),
        ("SEED: 1", "rows/a", "expected a YAML file or the name of a bundled configuration"),
        ("ROWS: [", "rows/a", "expected a YAML file or the name of a bundled configuration"),
    ],
)
def test_bad_tables_are_one_line(tmp_path, text, name, reason):
    (tmp_path / "rows.yaml").write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=reason) as caught:
        load_config(tmp_path / f"{name}.yaml", device="cpu")
    assert "\n" not in str(caught.value)


def test_a_misspelt_row_is_named():
    with pytest.raises(FileNotFoundError, match="did you mean 'table2_none'"):
        load_config("table2_nome")


@pytest.mark.parametrize("name", ["table2_none", "table3c_gamma_0.5", "table7_prompt_16", "tiny"])
def test_written_as_a_plain_file_detectron2_reads_the_same(tmp_path, name):
    file = tmp_path / "plain.yaml"
    opts = ["MODEL.WORDS.VOCABULARY", "42", "SOLVER.STEPS", "(1, 2)"]
    assert tool("write_config").main([name, str(file), "--opts", *opts]) == 0
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    cfg.merge_from_file(str(file))
    cfg.MODEL.DEVICE = "cpu"
    expected = load_config(name, opts, device="cpu")
    assert cfg == expected == load_config(file, device="cpu")


@pytest.mark.parametrize("value", ["cpu", None])
def test_what_the_machine_decides_is_not_written(tmp_path, value):
    own, file = tmp_path / "own.yaml", tmp_path / "plain.yaml"
    own.write_text("SEED: 7\n" + (f"MODEL: {{DEVICE: {value}}}\n" if value else ""))
    assert tool("write_config").main([str(own), str(file)]) == 0
    assert ("DEVICE: cpu" in file.read_text()) == (value == "cpu")


def test_what_cannot_be_written_is_one_line(tmp_path, capsys):
    assert tool("write_config").main(["tinny", str(tmp_path / "a.yaml")]) == 1
    (tmp_path / "file").touch()
    assert tool("write_config").main(["tiny", str(tmp_path / "file" / "a.yaml")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("error: ") for line in lines)
    assert "did you mean 'tiny'" in lines[0] and "a.yaml" in lines[1]


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


def test_what_a_table_says_for_all_rows_is_refused_and_not_passed_over(tmp_path):
    (tmp_path / "rows.yaml").write_text("ROWS:\n  a: {SEED: 1}\nSEED: 2\n")
    with pytest.raises(ValueError, match="expected nothing beside _BASE_ and ROWS, got 'SEED'"):
        load_config(tmp_path / "rows" / "a.yaml", device="cpu")
