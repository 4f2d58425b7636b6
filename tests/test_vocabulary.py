"""Vocabulary: where words come from, what the model gets of them, and what is refused."""

import json
import pickle
from contextlib import contextmanager

import pytest

from fgaseg_d2 import Vocabulary
from fgaseg_d2.vocabulary import parsing as class_lists
from fgaseg_d2.vocabulary.duplicates import near_duplicates


def test_parse_separates_classes_and_synonyms():
    vocabulary = Vocabulary.parse("cat|kitten | pussycat,  traffic \t light ,dog")
    assert vocabulary.classes == (("cat", "kitten", "pussycat"), ("traffic light",), ("dog",))
    assert vocabulary.class_names == ("cat", "traffic light", "dog")
    assert not vocabulary.has_background


def test_backslash_makes_separators_literal():
    vocabulary = Vocabulary.parse(r"salt\, pepper,a\|b,back\\slash,C:\dir")
    assert vocabulary.class_names == ("salt, pepper", "a|b", "back\\slash", "C:\\dir")


def test_entries_under_max_and_mean():
    vocabulary = Vocabulary.parse("cat|kitten,dog").with_background("wall,floor")
    assert vocabulary.entries == (("cat",), ("kitten",), ("dog",), ("wall",), ("floor",))
    assert vocabulary.entry_classes == (0, 0, 1, 2, 2)
    mean = vocabulary.with_synonyms("mean")
    assert mean.entries == (("cat", "kitten"), ("dog",), ("wall",), ("floor",))
    assert mean.entry_classes == (0, 1, 2, 2)
    assert mean.class_names == ("cat", "dog", "background")
    assert len(mean) == 3


def test_threshold_alone_adds_a_background_without_entries():
    vocabulary = Vocabulary.parse("cat,dog").with_background(threshold=0.25)
    assert vocabulary.class_names == ("cat", "dog", "background")
    assert vocabulary.entry_classes == (0, 1)
    assert vocabulary.background_threshold == 0.25


def test_equal_words_are_equal_keys():
    first, second = Vocabulary.parse("cat|kitten,dog"), Vocabulary([["cat", "kitten"], "dog"])
    assert first == second
    assert hash(first) == hash(second)
    assert first != first.with_synonyms("mean")
    assert pickle.loads(pickle.dumps(first)) == first


def test_from_names_keeps_commas_and_order():
    vocabulary = Vocabulary.from_names([r"salt\, pepper", "cat|kitten", ["dog", "a, b"]])
    assert vocabulary.classes == (("salt, pepper",), ("cat", "kitten"), ("dog", "a, b"))
    generated = Vocabulary.from_names(name for name in ("cat", "dog"))
    assert generated.class_names == ("cat", "dog")


@pytest.mark.parametrize("names", [["cat,dog"], ["cat", "dog, bird"]])
def test_a_list_refuses_several_classes_in_one_text(names):
    with pytest.raises(ValueError, match="one class each, or a single string") as caught:
        Vocabulary.coerce(names)
    assert "\n" not in str(caught.value)


def test_text_file(tmp_path):
    file = tmp_path / "words.txt"
    file.write_bytes(
        "\ufeff# pets\r\ncat|kitten  # small\r\n\r\ndog\r\nC# book\r\nsalt\\, pepper".encode()
    )
    vocabulary = Vocabulary.from_file(file)
    assert vocabulary.classes == (("cat", "kitten"), ("dog",), ("C# book",), ("salt, pepper",))
    assert Vocabulary.coerce(str(file)) == Vocabulary.coerce(file) == vocabulary


@pytest.mark.parametrize(
    "content",
    [["cat|kitten", "dog"], [["cat", "kitten"], ["dog"]], {"classes": [["cat", "kitten"], "dog"]}],
)
def test_json_file(tmp_path, content):
    file = tmp_path / "words.json"
    file.write_text(json.dumps(content))
    assert Vocabulary.from_file(file).classes == (("cat", "kitten"), ("dog",))


@pytest.mark.parametrize(
    ("name", "count", "entries"),
    [
        ("ade20k_150", 150, 150),
        ("ade20k_847", 847, 1281),
        ("coco_stuff_171", 171, 171),
        ("pascal_context_459", 459, 459),
        ("pascal_context_59", 59, 59),
        ("pascal_voc_20", 20, 20),
        ("pascal_voc_20b", 59, 59),
        ("pascal_voc_21", 21, 21),
        ("pascal_context_60", 60, 60),
        ("coco_object_81", 81, 81),
        ("cityscapes_19", 19, 19),
    ],
)
def test_benchmarks(name, count, entries):
    vocabulary = Vocabulary.coerce(name)
    assert len(vocabulary) == len(vocabulary.entries) == count
    assert len(Vocabulary.from_benchmark(name, all_names=True).entries) == entries


def test_every_bundled_list_is_complete_and_clean():
    for name in class_lists.benchmark_names():
        content = class_lists.read_benchmark(name)
        assert content["name"] == name
        assert content["source"]
        assert content["ignore_label"] in (255, 65535)
        assert all(class_lists.clean_name(n) == n for names in content["classes"] for n in names), (
            name
        )


def test_voc_20b_keeps_its_rule():
    content = class_lists.read_benchmark("pascal_voc_20b")
    assert len(content["evaluation_classes"]) == 21
    assert content["evaluation_classes"][:20] == [names[0] for names in content["classes"][:20]]
    assert "20" in content["collapse_rule"]


def test_benchmark_takes_first_names_and_keeps_duplicates():
    vocabulary = Vocabulary.from_benchmark("ade20k_847")
    assert vocabulary.class_names[1] == "building"
    assert vocabulary.class_names.count("bag") == 3


def test_metadata():
    from detectron2.data import MetadataCatalog

    name = "test_vocabulary_metadata"
    MetadataCatalog.get(name).stuff_classes = ["wall", "building, edifice", "bag", "bag "]
    try:
        vocabulary = Vocabulary.from_metadata(name)
        assert vocabulary.class_names == ("wall", "building", "bag", "bag")
        everything = Vocabulary.from_metadata(MetadataCatalog.get(name), all_names=True)
        assert everything.classes[1] == ("building", "edifice")
        with pytest.raises(ValueError, match=f"did you mean '{name}'"):
            Vocabulary.from_metadata(name + "s")
        assert name + "s" not in MetadataCatalog.list()
    finally:
        MetadataCatalog.remove(name)


@contextmanager
def dataset(name, **metadata):
    """A dataset registered in Detectron2 for the duration of a block; gives its metadata."""
    from detectron2.data import DatasetCatalog, MetadataCatalog

    DatasetCatalog.register(name, list)
    try:
        yield MetadataCatalog.get(name).set(**metadata)
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_coerce_takes_registered_datasets():
    with dataset("test_vocabulary_words", stuff_classes=["wall", "building, edifice"]) as metadata:
        for words in ("test_vocabulary_words", metadata):
            assert Vocabulary.coerce(words).class_names == ("wall", "building")
        # Only exactly this name is a dataset's.
        assert Vocabulary.coerce("test_vocabulary_words,wall").class_names[1] == "wall"
        assert len(Vocabulary.coerce("test_vocabulary_words", background="floor")) == 3
    assert Vocabulary.coerce("test_vocabulary_words").class_names == ("test_vocabulary_words",)
    assert Vocabulary.coerce("storybook_val") == Vocabulary.from_metadata("storybook_val")


def test_metadata_keeps_classes_apart_that_share_their_first_name():
    names = ["door, open", "wall, partition", "Door, closed", "bag", "bag", "cup, mug", "cup, mug"]
    with dataset("test_vocabulary_doors", stuff_classes=names) as metadata:
        shown = Vocabulary.from_metadata(metadata).class_names
        everything = Vocabulary.from_metadata(metadata, all_names=True)
    assert shown == ("door, open", "wall", "Door, closed", "bag", "bag", "cup", "cup")
    assert everything.classes[0] == ("door", "open")


def test_metadata_without_classes():
    with dataset("test_vocabulary_nothing") as metadata:
        for make in (Vocabulary.from_metadata, Vocabulary.coerce):
            for words in ("test_vocabulary_nothing", metadata):
                with pytest.raises(ValueError, match="expected stuff_classes"):
                    make(words)


def test_coerce_tells_words_from_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat").write_text("dog\n")
    (tmp_path / "words.list").write_text("dog\n")
    assert Vocabulary.coerce("cat").class_names == ("cat",)
    assert Vocabulary.coerce("./cat").class_names == ("dog",)
    assert Vocabulary.coerce("words.list").class_names == ("dog",)
    assert Vocabulary.coerce("st. bernard,mr. x").class_names == ("st. bernard", "mr. x")
    assert Vocabulary.coerce("y" * 3000).class_names == ("y" * 3000,)
    with pytest.raises(FileNotFoundError, match="nowhere.txt"):
        Vocabulary.coerce("nowhere.txt")


def test_coerce_options_change_only_what_is_given():
    vocabulary = Vocabulary.coerce("cat,dog", background="wall|wallpaper,floor", synonyms="mean")
    assert vocabulary.background == ("wall", "wallpaper", "floor")
    again = Vocabulary.coerce(vocabulary, background_threshold=0.5)
    assert again.background == vocabulary.background
    assert again.synonyms == "mean"
    assert Vocabulary.coerce(again, background=(), background_threshold=0).has_background is False
    assert Vocabulary.coerce(again) is again


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "got nothing"),
        ("  ", "got nothing"),
        ("cat,,dog", "got an empty one"),
        ("cat,dog,,", "got an empty one"),
        (",", "got an empty one"),
        ("cat||kitten", "got an empty one"),
        ("cat,Cat", "'cat' and 'Cat'"),
        (["cat", "cat"], "'cat' and 'cat'"),
        ("cat|the  cat,The cat", "every name once"),
        ("cat\ndog", "printable"),
        ("cat\x00", "printable"),
        ("c\u200bat", "printable"),
        ("cat\udcff", "printable"),
        ([], "at least one class"),
        ([[]], "at least one name"),
        (["cat", 3], "names of a class as a list, got 3"),
        ([["cat", None]], "as text, got None"),
        ({"cat", "dog"}, "as a list"),
        ({"cat": 2}, "got 2 in place of 0"),
        ({"cat": "kitten"}, r"with synonyms"),
        ({"cat": ["kitten"], "dog": "hound"}, "expected a list of synonyms for every class, got"),
        ({"cat": ["kitten"], "dog": ["kitten"]}, "every name once"),
        ({}, "expected a list of names"),
        (7, "as a list, got 7"),
        ("ade20k_15", "did you mean 'ade20k_150'"),
    ],
)
def test_bad_words_are_refused_in_one_line(words, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        Vocabulary.coerce(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        ("cat, dog,", [("cat",), ("dog",)]),
        ("cat; dog ;", [("cat",), ("dog",)]),
        ("\u732b\uff0c\u72d7\u3001\u9ce5\uff0c", [("\u732b",), ("\u72d7",), ("\u9ce5",)]),
        ("cat\uff5ckitten\uff0cdog", [("cat", "kitten"), ("dog",)]),
        ({"cat": ["kitten", "kitty"], "dog": []}, [("cat", "kitten", "kitty"), ("dog",)]),
        ({"cat": ("kitten",), "dog": None}, [("cat", "kitten"), ("dog",)]),
        ({1: "dog", 0: "cat|kitten"}, [("cat", "kitten"), ("dog",)]),
        ({"cat": 0, "dog": 1}, [("cat",), ("dog",)]),
        ({"names": {0: "cat", 1: "dog"}, "nc": 2}, [("cat",), ("dog",)]),
        ("{cat: [kitten], dog: []}", [("cat", "kitten"), ("dog",)]),
    ],
)
def test_words_in_other_forms(words, classes):
    assert Vocabulary.coerce(words).classes == tuple(classes)


@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        ("sofa,couch,wall", [("sofa", "couch")]),
        ("cat,wall,cats", [("cat", "cats")]),
        ("a person,people,the bus,buses", [("a person", "people"), ("the bus", "buses")]),
        ("wall,red car|auto,automobile", [("auto", "automobile")]),
        ("leaf,leaves,glass,glasses,grass", [("leaf", "leaves"), ("glass", "glasses")]),
        ("cat,dog,sky,tree,road,street,house,building,sea,water,river", []),
        ("sofa|couch,chair,armchair,bench,table,desk", []),
        ("red house,yellow house,house,red car,red cat", []),
        ("pascal_context_59", []),
        ("ade20k_150", []),
        ("ade20k_847", []),
    ],
)
def test_names_of_one_meaning(words, pairs):
    assert list(near_duplicates(Vocabulary.coerce(words).classes)) == pairs


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"background": "cat"}, "no class"),
        ({"background": "wall,Wall"}, "every name once"),
        ({"background": ["wall", "Wall"]}, "occur once"),
        ({"background": ""}, "got nothing"),
        ({"background_threshold": 1.5}, "from 0"),
        ({"background_threshold": float("nan")}, "from 0"),
        ({"background_threshold": "high"}, "from 0"),
        ({"synonyms": "min"}, "'max' or 'mean'"),
    ],
)
def test_bad_options_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        Vocabulary.coerce("cat,dog", **options)


def test_a_class_called_background_collides_only_with_the_automatic_one():
    vocabulary = Vocabulary.parse("cat,Background")
    assert vocabulary.class_names == ("cat", "Background")
    with pytest.raises(ValueError, match="rename it"):
        vocabulary.with_background("wall")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "at least one class"),
        ("a.txt", b"# only a comment\n", "at least one class"),
        ("a.txt", b"cat,dog\n", "one class a line"),
        ("a.txt", b"cat\ncat\n", "every name once"),
        ("a.txt", b"caf\xe9\n", "UTF-8"),
        ("a.json", b"{", "expected JSON"),
        ("a.json", b"3", "expected a list"),
        ("a.json", b'{"names": []}', "expected a list"),
        ("a.json", b"[]", "at least one class"),
        ("a.json", b'["cat", {"a": 1}]', "as a list"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, content, reason):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        Vocabulary.from_file(file)
    assert str(caught.value).startswith(str(file))


def test_folder_is_no_class_list(tmp_path):
    with pytest.raises(FileNotFoundError, match="got a folder"):
        Vocabulary.from_file(tmp_path)


def test_unknown_benchmark_lists_the_known():
    with pytest.raises(ValueError, match=r"ade20k_150, .*did you mean 'coco_stuff_171'"):
        Vocabulary.from_benchmark("coco_stuff")
