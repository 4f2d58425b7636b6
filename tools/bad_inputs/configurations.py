"""Bad configurations: values of every key, structure, and what YAML allows and nobody means."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bad_inputs.case import Case, Draw
from bad_inputs.doors import command
from bad_inputs.material import Material
from bad_inputs.mutations import damaged, damaged_tree, odd_value
from fgaseg_d2.config.loading import load_config
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from fgaseg_d2.predict.predictor import OpenVocabPredictor

# Sections whose keys the model or its preparation of pictures reads.
_READ = ("MODEL.CLIP.", "MODEL.FGASEG.", "INPUT.", "TEST.", "DATASETS.", "SOLVER.", "DATALOADER.")
# Larger values of these are a long training, or many processes, which is what was asked for.
_BOUNDED = ("SOLVER.MAX_ITER", "DATALOADER.NUM_WORKERS", "SOLVER.IMS_PER_BATCH", "TEST.MAX_VIEWS")
_TAGS = (
    "!!python/object/apply:os.mkdir [executed]",
    "!!python/name:os.system",
    "!!python/tuple [1, 2]",
    "!!binary aGVsbG8=",
    "!!timestamp 2020-01-01",
    "2020-01-01",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!mine 3",
    "!!float x",
    "!!int 1_0",
    "0o17",
    "1e3",
    "1:30",
    "yes",
    "~",
    "'3'",
    '"\\u2028"',
    "&a [*a]",
    "{<<: {A: 1}}",
    "*nothing",
    "|",
    "? x",
    "\t3",
)


def value_of(rng: random.Random, key: str, current: Any) -> Any:
    """A value for a key: of its type and out of range, of another type, or near what it is."""
    if rng.random() < 0.3:
        value = odd_value(rng)
    elif isinstance(current, bool):
        value = rng.choice((not current, "maybe", 2, None, "True"))
    elif isinstance(current, int):
        value = rng.choice((-1, -7, 0, 1, 2, 3, 17, 0.5, -0.5, "many", str(current), [current]))
    elif isinstance(current, float):
        value = rng.choice((-1, -0.5, 0, 1, 1e9, 1e-30, float("nan"), float("inf"), "half", "1e-4"))
    elif isinstance(current, str):
        value = rng.choice(
            ("", "none", current.upper(), f"{current}x", f" {current}", 3, [current])
        )
    else:
        items = list(current) if isinstance(current, (list, tuple)) else []
        odd = rng.choice((0, -1, 0.5, "x", None, 10**6))
        value = rng.choice(
            ([], items[:1], items * 2, [odd, *items[1:]], [*items, odd], tuple(items), odd)
        )
    large = isinstance(value, (int, float)) and not -1e3 < value < 1e3
    return 2 if large and key in _BOUNDED else value


def _yaml_text(changes: dict[str, Any], base: Path) -> str:
    """A file that changes keys of the small configuration."""
    content: dict[str, Any] = {"_BASE_": str(base)}
    for key, value in changes.items():
        node = content
        *sections, last = key.split(".")
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(content, allow_unicode=True)


def use(material: Material, path: str | Path, opts: tuple[Any, ...] = ()) -> None:
    """Do with a configuration what a user does: load it, build the model, segment a picture."""
    cfg = load_config(path, opts)
    predictor = OpenVocabPredictor(cfg)
    words = None if predictor.default_vocabulary else "cat,dog"
    result = predictor(material.pairs()[0]["file_name"], words)
    assert result.labels.shape == result.image.shape[:2], "labels of another size"


def _map_samples(material: Material, path: Path) -> None:
    """Prepare training and test samples of the sound data set as a configuration says."""
    cfg = load_config(path)
    for is_train in (True, False):
        mapper = SemanticMapper(cfg, "bad_inputs", is_train=is_train)
        for record in material.pairs():
            mapper(record)


def one_key(draw: Draw) -> Case:
    """One key with another value, in a file or on a command line."""
    rng, material = draw.rng, draw.material
    key = rng.choice([k for k in material.values if k.startswith(_READ)])
    value = value_of(rng, key, material.values[key])
    text = f"{key} {str(value)[:60]!r}"
    if rng.random() < 0.3:
        opts = (key, rng.choice((value, str(value))))
        return Case(f"{text}, as an option", partial(use, material, material.config, opts))
    path = draw.write("config.yaml", _yaml_text({key: value}, material.config))
    return Case(text, partial(use, material, path))


def any_key(draw: Draw) -> Case:
    """One of all keys, Detectron2's own included."""
    rng, material = draw.rng, draw.material
    key = rng.choice(list(material.values))
    value = value_of(rng, key, material.values[key])
    path = draw.write("config.yaml", _yaml_text({key: value}, material.config))
    return Case(f"{key} {str(value)[:60]!r}", partial(use, material, path))


def preparation(draw: Draw) -> Case:
    """A key of INPUT, whose reader is the mapper."""
    rng, material = draw.rng, draw.material
    keys = [k for k in material.values if k.startswith(("INPUT.", "MODEL.SEM_SEG_HEAD.IGNORE"))]
    key = rng.choice(keys)
    value = value_of(rng, key, material.values[key])
    path = draw.write("config.yaml", _yaml_text({key: value}, material.config))
    return Case(f"{key} {str(value)[:60]!r}", partial(_map_samples, material, path))


def training(draw: Draw) -> Case:
    """A key that training reads, and one iteration of it."""
    rng, material = draw.rng, draw.material
    sections = ("SOLVER.", "DATALOADER.", "DATASETS.", "MODEL.FGASEG.LOSS", "MODEL.CLIP.FINETUNE")
    key = rng.choice([k for k in material.values if k.startswith(sections)])
    value = value_of(rng, key, material.values[key])
    path = draw.write("config.yaml", _yaml_text({key: value, "DATASETS.TEST": []}, material.config))
    door = partial(command, "train_net", ["--config-file", path])
    return Case(f"{key} {str(value)[:60]!r}", door)


def evaluation(draw: Draw) -> Case:
    """A key that evaluation reads, and one of it."""
    rng, material = draw.rng, draw.material
    key = rng.choice([k for k in material.values if k.startswith(("TEST.", "DATASETS."))])
    value = value_of(rng, key, material.values[key])
    path = draw.write("config.yaml", _yaml_text({key: value}, material.config))
    door = partial(command, "train_net", ["--config-file", path, "--eval-only"])
    return Case(f"{key} {str(value)[:60]!r}", door)


def several_keys(draw: Draw) -> Case:
    """Up to four keys at once."""
    rng, material = draw.rng, draw.material
    keys = rng.sample([k for k in material.values if k.startswith(_READ)], rng.randint(2, 4))
    changes = {key: value_of(rng, key, material.values[key]) for key in keys}
    path = draw.write("config.yaml", _yaml_text(changes, material.config))
    return Case(str(changes)[:200], partial(use, material, path))


def structure(draw: Draw) -> Case:
    """Sections that are values, values that are sections, keys that are not there."""
    content = json.loads(draw.material.config.read_text("utf-8"))
    if draw.rng.random() < 0.3:
        content.pop("_BASE_")
    tree = damaged_tree(draw.rng, content, odd_value)
    path = draw.write("config.yaml", json.dumps(tree))
    return Case(str(tree)[:120], partial(use, draw.material, path))


def damaged_text(draw: Draw) -> Case:
    """A file with wrong bytes."""
    plain = yaml.safe_dump(json.loads(draw.material.config.read_text("utf-8")))
    data = damaged(draw.rng, plain.encode())
    return Case("damage", partial(use, draw.material, draw.write("config.yaml", data)))


def yaml_features(draw: Draw) -> Case:
    """Tags, aliases, merge keys, several documents."""
    rng = draw.rng
    key = rng.choice(("NAME", "IMAGE_SIZE", "LOGIT_SCALE", "FINETUNE", "GUIDANCE_BLOCKS"))
    value = rng.choice(_TAGS)
    base = f"_BASE_: {draw.material.config}\n"
    text = rng.choice(
        (
            f"{base}MODEL:\n  CLIP:\n    {key}: {value}\n",
            f"{base}MODEL: {value}\n",
            f"{base}{value}: 3\n",
            f"{base}---\nMODEL: {{}}\n---\n{value}\n",
            f"{base}MODEL: &m\n  CLIP: *m\n",
            f"{base}MODEL:\n  <<: {value}\n",
            f"{base}MODEL:\n  CLIP: {{}}\n  CLIP: {{{key}: 1}}\n",
            f"{base}%YAML 9.9\nMODEL:\n",
            f"_BASE_: {value}\n",
            f"_BASE_: [{draw.material.config}]\n",
            "_BASE_: config.yaml\n",
            "_BASE_: .\n",
            f"_BASE_: {draw.material.folder}/pictures/0.png\n",
        )
    )
    path = draw.write("config.yaml", text)

    def door() -> None:
        try:
            use(draw.material, path)
        finally:
            assert not Path("executed").exists(), "a tag of the file ran"

    return Case(repr(text)[-100:], door)


def bombs(draw: Draw) -> Case:
    """Small files that grow: aliases of aliases, merge keys, depth, length."""
    rng = draw.rng
    kind = rng.choice(("aliases", "merges", "depth", "width", "chain", "line", "number"))
    size = rng.choice((12, 25, 40))
    if kind == "aliases":
        lines = ["a0: &a0 [x, x]"] + [
            f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, size)
        ]
        text = "\n".join(lines)
    elif kind == "merges":
        lines = ["a0: &a0 {x: 1, y: 2}"] + [
            f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}], k{i}: 1}}" for i in range(1, size)
        ]
        text = "\n".join([*lines, f"MODEL: *a{size - 1}"])
    elif kind == "depth":
        text = f"MODEL: {'[' * size * 200}{']' * size * 200}"
    elif kind == "width":
        text = "MODEL:\n" + "".join(f"  K{i}: {i}\n" for i in range(size * 200))
    elif kind == "chain":
        for i in range(size):
            draw.write(f"base{i}.yaml", f"_BASE_: base{i + 1}.yaml\n")
        text = "_BASE_: base0.yaml\n"
    elif kind == "line":
        text = f"MODEL: {'word ' * size * 2000}"
    else:
        text = f"SEED: {'9' * size * 400}"
    path = draw.write("config.yaml", text)
    return Case(f"{kind} {size}", partial(use, draw.material, path))


def encodings(draw: Draw) -> Case:
    """Bytes that are no UTF-8, and things that are no file."""
    rng = draw.rng
    text = f"_BASE_: {draw.material.config}\nMODEL:\n  FGASEG:\n    VOCABULARY: caf\u00e9\n"
    coding = rng.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig", "cp037", "nul", "empty"))
    data = {"nul": b"\0" * 100, "empty": b""}.get(coding)
    path = draw.write("config.yaml", text.encode(coding) if data is None else data)
    name: Any = rng.choice(
        (path, path, ".", "", "tiny\0", "tinny", "a" * 300, "/dev/null", "~none")
    )
    return Case(f"{coding} {str(name)[-30:]!r}", partial(use, draw.material, name))


def wrong_arguments(draw: Draw) -> Case:
    """What a program may hand over that is no path and no pair."""
    rng, material = draw.rng, draw.material
    opts = rng.choice(
        (
            *(["MODEL.WEIGHTS"], ["MODEL.WEIGHTS", ""] * 2 + ["x"], ["MODEL", "x"], ["", ""]),
            *(["model.weights", ""], ["MODEL.CLIP", {}], [odd_value(rng), odd_value(rng)]),
            *(["MODEL.WEIGHTS", Path("none.pth")], ["INPUT.MIN_SIZE_TEST", odd_value(rng)]),
            *(["MODEL.DEVICE", odd_value(rng)], ["OUTPUT_DIR", Path("x")], ["\0", "x"]),
            *(["MODEL.CLIP.NAME", "a" * 5000], ["MODEL.WORDS.VOCABULARY", "x" * 5000]),
        )
    )
    return Case(str(opts)[:100], partial(use, material, material.config, tuple(opts)))


RECIPES = {
    "one key": one_key,
    "several keys": several_keys,
    "any key": any_key,
    "preparation": preparation,
    "training": training,
    "evaluation": evaluation,
    "structure": structure,
    "bytes": damaged_text,
    "YAML": yaml_features,
    "bombs": bombs,
    "encodings": encodings,
    "arguments": wrong_arguments,
}
