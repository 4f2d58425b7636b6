"""Miniature raw trees of the benchmarks, in the encodings of the real downloads.

``write(NAME, root)`` lays a tree below ``root`` as `tools/prepare_datasets.py NAME` expects it and
returns what must come out: {registered dataset: {stem: class map}}. Every tree has pixels that are
ignored, the first and the last class, and pictures of different sizes.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image
from pycocotools import mask as rle

from fgaseg_d2.data.preparation import FAMILIES
from fgaseg_d2.vocabulary.parsing import read_benchmark

Truth = dict[str, dict[str, np.ndarray]]

# Things of COCO's list of 91 that nobody annotated, as ids from 1 on.
COCO_UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
COCO_VALUES = [value for value in range(182) if value + 1 not in COCO_UNUSED]
# Ids of the 59 classes in PASCAL-Context's labels.txt.
CONTEXT_59 = [
    2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113,
    115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326,
    347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458,
]  # fmt: skip

VOC = "VOCdevkit/VOC2012"
# The splits of VOC lie in one folder.
FIRST_NUMBER = {"train": 1000, "val": 33, "sbd": 2000}


def write(name: str, root: Path, split: str = "val", count: int = 3, seed: int = 0) -> Truth:
    """Write the raw tree of one benchmark.

    Args:
        name: as on the command line of the preparation; "pascal_context" writes the raw data of
            both pascal_context_59 and pascal_context_459.
        root: of the datasets.
        split: "train" or "val".
        count: number of pictures.
        seed: other seeds draw other labels.
    """
    truth = BUILDERS[name](root, split, count, seed)
    if name not in FAMILIES:
        return truth
    # The same raw tree may serve other names.
    return {d: t for d, t in truth.items() if d.rpartition("_")[0] in FAMILIES[name].benchmarks}


def draw(index: int, seed: int, classes: int, ignored: int) -> np.ndarray:
    """A map of 8 x 8 blocks of random classes; the top row of blocks is ignored."""
    rng = np.random.default_rng((seed, index))
    rows, columns = 4 + index % 3, 6 + index % 2
    label = rng.integers(0, classes, (rows, columns))
    label[0, :], label[1, 0], label[1, 1] = ignored, 0, classes - 1
    if classes > 256:
        label[1, 2] = 255
    return label.repeat(8, 0).repeat(8, 1)[:-3, :-1]


def write_picture(path: Path, label: np.ndarray) -> None:
    """A JPEG whose colours follow the label."""
    colors = np.random.default_rng(0).integers(0, 256, (65536, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colors[label % 65536]).save(path, quality=90)  # a PNG has no quality


def write_png(path: Path, label: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label).save(path)


def coco_stuff(root: Path, split: str, count: int, seed: int) -> Truth:
    """8 bits: the label of the official list minus 1, and 255 for unlabelled pixels."""
    # Values of things that nobody annotated stay outside the classes too.
    encode = np.array([*COCO_VALUES, *[255] * (256 - 171)], np.uint8)
    truth, objects = {}, {}
    for index in range(count):
        label = draw(index, seed, 171, 255)
        stem = f"{index + 139:012d}"
        raw = encode[label]
        raw[0, :11] = np.array(COCO_UNUSED) - 1
        write_png(root / f"coco-stuff/annotations/{split}2017/{stem}.png", raw)
        write_picture(root / f"coco-stuff/images/{split}2017/{stem}.jpg", label)
        truth[stem] = label
        objects[stem] = np.where(label < 80, label + 1, 0)
        objects[stem][0, :11] = 0
    return {f"coco_stuff_{split}": truth, f"coco_object_81_{split}": objects}


def cityscapes(root: Path, split: str, count: int, seed: int) -> Truth:
    """Label ids in a folder for each city, beside files that nothing reads; pictures are PNG."""
    ids = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])
    others = np.array([0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255])
    truth = {}
    for index in range(count):
        label = draw(index, seed, 19, 255)
        city = ("frankfurt", "munster")[index % 2]
        frame = f"{city}_{FIRST_NUMBER[split]:06d}_{index + 19:06d}"
        raw = np.where(label == 255, others[np.arange(label.size) % 16].reshape(label.shape),
                       ids[np.minimum(label, 18)]).astype(np.uint8)  # fmt: skip
        labels = root / f"cityscapes/gtFine/{split}/{city}"
        write_png(labels / f"{frame}_gtFine_labelIds.png", raw)
        write_png(labels / f"{frame}_gtFine_instanceIds.png", raw.astype(np.uint16))
        (labels / f"{frame}_gtFine_polygons.json").write_text("{}", encoding="utf-8")
        picture = f"cityscapes/leftImg8bit/{split}/{city}/{frame}_leftImg8bit.png"
        write_picture(root / picture, label)
        truth[f"{city}/{frame}_leftImg8bit"] = label
    return {f"cityscapes_19_{split}": truth}


def ade20k_150(root: Path, split: str, count: int, seed: int) -> Truth:
    """8 bits: class + 1, and 0 for other objects."""
    top, folder = root / "ADEChallengeData2016", {"train": "training", "val": "validation"}[split]
    truth = {}
    for index in range(count):
        label = draw(index, seed, 150, 255)
        stem = f"ADE_{split}_{index + 1:08d}"
        raw = np.where(label == 255, 0, label + 1).astype(np.uint8)
        write_png(top / "annotations" / folder / f"{stem}.png", raw)
        write_picture(top / "images" / folder / f"{stem}.jpg", label)
        truth[stem] = label
    return {f"ade20k_150_{split}": truth}


def ade_rgb(ids: np.ndarray, instance: int = 7) -> np.ndarray:
    """The colours of ADE20K's *_seg.png: R is 10 times the id's high byte, G its low byte."""
    blue = np.full_like(ids, instance)
    return np.stack([ids // 256 * 10, ids % 256, blue], axis=-1).astype(np.uint8)


def ade20k_847(root: Path, split: str, count: int, seed: int) -> Truth:
    """RGB, in folders by scene, among files of other kinds; the index is no pickle at all."""
    top, folder = root / "ADE20K_2021_17_01", {"train": "training", "val": "validation"}[split]
    values = np.array(read_benchmark("ade20k_847")["raw_values"])
    outside = np.setdiff1d(np.arange(1, 3689), values)
    truth = {}
    for index in range(count):
        label = draw(index, seed, 847, 65535)
        stem = f"ADE_{split}_{index + 1:08d}"
        scene = top / "images/ADE" / folder / ("urban/street" if index % 2 else "home/attic")
        ids = np.where(label == 65535, 0, values[np.minimum(label, 846)])
        ids[0, :5] = outside[:: len(outside) // 5][:5]
        write_png(scene / f"{stem}_seg.png", ade_rgb(ids))
        write_png(scene / f"{stem}_parts_1.png", ade_rgb(ids))
        write_png(scene / stem / f"instance_000_{stem}.png", np.zeros((4, 4), np.uint8))
        (scene / f"{stem}.json").write_text("{}", encoding="utf-8")
        write_picture(scene / f"{stem}.jpg", label)
        truth[stem] = label
    (top / "index_ade20k.pkl").write_bytes(b"not to be opened")
    return {f"ade20k_847_{split}": truth}


def pascal_context(root: Path, split: str, count: int, seed: int) -> Truth:
    """MATLAB label maps of 459 ids, and the JSON of the 59 classes with one RLE a class."""
    top = root / "VOCdevkit/VOC2010"
    truth_59, truth_459, pictures, annotations = {}, {}, [], []
    for index in range(count):
        label = draw(index, seed, 459, 65535)
        label[8:12, :8] = np.array(CONTEXT_59[:8]) - 1
        ids = np.where(label == 65535, 0, label + 1).astype(np.uint16)
        year, number = 2008 + index % 3, FIRST_NUMBER[split] + index
        stem = f"{year}_{number:06d}"
        image_id = int(f"{year}{number:06d}")
        mat = top / f"trainval/{stem}.mat"
        mat.parent.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(mat, {"LabelMap": ids}, do_compression=True)
        write_picture(top / f"JPEGImages/{stem}.jpg", label)
        pictures.append(context_image(stem, image_id, split, *label.shape))
        merged = np.full(label.shape, 255)
        for position, category in enumerate(CONTEXT_59):
            if (region := ids == category).any():
                annotations.append(context_annotation(image_id, category, region))
                merged[region] = position
        truth_59[stem], truth_459[stem] = merged, label
    # The published list has no line break at its end; there is none for training.
    ids = top / {"val": "pascalcontext_val.txt", "train": "ImageSets/Main/train.txt"}[split]
    ids.parent.mkdir(parents=True, exist_ok=True)
    ids.write_text("\n".join(truth_459), encoding="utf-8")
    # Pictures that no list names.
    write_picture(top / "JPEGImages/2007_000001.jpg", np.zeros((20, 30), int))
    write_context_json(root, pictures, annotations)
    return {
        f"pascal_context_59_{split}": truth_59,
        f"pascal_context_459_{split}": truth_459,
        f"pascal_context_60_{split}": {s: (t + 1) % 256 for s, t in truth_59.items()},
    }


def context_image(stem: str, image_id: int, phase: str, height: int, width: int) -> dict:
    """One picture of trainval_merged.json."""
    return {
        "file_name": f"{stem}.jpg",
        "image_id": image_id,
        "phase": phase,
        "height": height,
        "width": width,
    }


def context_annotation(image_id: int, category: int, region: np.ndarray) -> dict:
    """One annotation of trainval_merged.json, compressed RLE."""
    code = rle.encode(np.asfortranarray(region.astype(np.uint8)))
    segmentation = {"size": list(code["size"]), "counts": code["counts"].decode("ascii")}
    return {"image_id": image_id, "category_id": category, "segmentation": segmentation}


def write_context_json(root: Path, pictures: Sequence[dict], annotations: Sequence[dict]) -> Path:
    """Write trainval_merged.json, or add to it; annotations get ids in their order."""
    path = root / "VOCdevkit/VOC2010/trainval_merged.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, list] = {"images": [], "annos_segmentation": []}
    if path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
    content["images"] += pictures
    content["annos_segmentation"] += annotations
    for number, annotation in enumerate(content["annos_segmentation"]):
        annotation["id"] = number
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def voc_palette() -> np.ndarray:
    """256 x 3 colours: bits 0, 1 and 2 of the index feed R, G and B from their top bit down."""
    index = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for step in range(8):
        for channel in range(3):
            palette[:, channel] |= ((index >> channel & 1) << (7 - step)).astype(np.uint8)
        index >>= 3
    return palette


def write_palette_png(path: Path, indices: np.ndarray) -> None:
    """A mask as VOC has them: indices with the VOC palette."""
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(voc_palette().tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write_ids(path: Path, ids: Iterable[str]) -> None:
    """A list as VOC and SBD have them: one id a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{stem}\n" for stem in ids), encoding="utf-8")


def pascal_voc(root: Path, split: str, count: int, seed: int) -> Truth:
    """Palette PNGs: 0 background, class + 1, and 255 on the borders of objects."""
    top = root / VOC
    truth, with_background = {}, {}
    for index in range(count):
        drawn = draw(index, seed, 21, 255)  # 20 is background, as in PAS-20b
        stem = f"2007_{FIRST_NUMBER[split] + index:06d}"
        raw = np.where(drawn == 255, 255, (drawn + 1) % 21)
        write_palette_png(top / f"SegmentationClass/{stem}.png", raw)
        write_picture(top / f"JPEGImages/{stem}.jpg", drawn)
        truth[stem], with_background[stem] = np.where(drawn == 20, 255, drawn), drawn
    write_ids(top / f"ImageSets/Segmentation/{split}.txt", truth)
    # JPEGImages holds pictures without masks, and there are masks of other lists.
    write_picture(top / "JPEGImages/2012_000001.jpg", np.zeros((20, 30), int))
    write_palette_png(top / "SegmentationClass/2012_000002.png", np.zeros((20, 30)))
    first = {s: np.where(d == 255, 255, (d + 1) % 21) for s, d in with_background.items()}
    return {
        f"pascal_voc_20_{split}": truth,
        f"pascal_voc_20b_{split}": with_background,
        f"pascal_voc_21_{split}": first,
    }


def write_sbd_mask(path: Path, raw: np.ndarray) -> None:
    """A MATLAB file as those of SBD's dataset/cls: 0 background and class + 1, no borders."""
    present = np.setdiff1d(raw, [0]).astype(np.uint8)[:, None]
    content = {
        "Boundaries": np.zeros((20, 1), object),
        "Segmentation": raw.astype(np.uint8),
        "CategoriesPresent": present,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"GTcls": content}, do_compression=True)


def pascal_voc_aug(root: Path, count: int = 3, seed: int = 0) -> Truth:
    """VOC with its train and val lists, and SBD as mmsegmentation and ZegCLIP unpack it.

    SBD's own lists share a picture with VOC's train and one with its val, with other masks.
    """
    own = pascal_voc(root, "train", count, seed)
    val = pascal_voc(root, "val", 2, seed + 1)
    truth, with_background = (dict(own[f"pascal_voc_{n}_train"]) for n in ("20", "20b"))
    dataset = root / "VOCdevkit/VOCaug/dataset"
    stems = [f"2008_{FIRST_NUMBER['sbd'] + index:06d}" for index in range(count)]
    for index, stem in enumerate(stems):
        drawn = draw(index + 7, seed, 21, 20)
        write_sbd_mask(dataset / f"cls/{stem}.mat", (drawn + 1) % 21)
        write_picture(root / VOC / f"JPEGImages/{stem}.jpg", drawn)
        truth[stem], with_background[stem] = np.where(drawn == 20, 255, drawn), drawn
    shared = [next(iter(own["pascal_voc_20_train"])), next(iter(val["pascal_voc_20_val"]))]
    for stem in shared:
        write_sbd_mask(dataset / f"cls/{stem}.mat", np.zeros((5, 5)))
    write_ids(dataset / "train.txt", [*shared, *stems[1:]])
    write_ids(dataset / "val.txt", stems[:1])
    return {
        "pascal_voc_20_train_aug": truth,
        "pascal_voc_20b_train_aug": with_background,
    }


BUILDERS: dict[str, Callable[[Path, str, int, int], Truth]] = {
    "coco_stuff": coco_stuff,
    "ade20k_150": ade20k_150,
    "ade20k_847": ade20k_847,
    "pascal_context": pascal_context,
    "pascal_context_59": pascal_context,
    "pascal_context_459": pascal_context,
    "pascal_voc": pascal_voc,
    "pascal_voc_21": pascal_voc,
    "pascal_context_60": pascal_context,
    "coco_object_81": coco_stuff,
    "cityscapes_19": cityscapes,
}
