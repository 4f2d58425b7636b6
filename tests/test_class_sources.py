"""Class lists as strangers write them: read rightly, or refused in a line that helps."""

import json
from itertools import count

import pytest

from fgaseg_d2 import Vocabulary
from fgaseg_d2.evaluation.truth import read_unseen_classes
from fgaseg_d2.vocabulary.parsing import MAX_NAME, MAX_NAMES, MAX_TEXT, split_escaped

PETS = ("cat", "dog", "bird")


def read(folder, name, content):
    """A file through the door that --vocab and the predictor take."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Vocabulary.coerce(str(path))


def refusal(words):
    with pytest.raises(ValueError) as caught:
        Vocabulary.coerce(words)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    return message


@pytest.mark.parametrize(
    "words",
    [
        "cat\uff0cdog\uff0cbird",  # full-width comma
        "cat\u3001dog\u3001bird",  # Chinese enumeration comma
        "cat\uff0c dog, bird",
        "cat\u060c dog\u060c bird",  # Arabic comma
        "cat; dog; bird",
        "cat\uff1bdog\uff1bbird",  # full-width semicolon
        '"cat", "dog", "bird"',
        "'cat','dog','bird'",
        "[cat, dog, bird]",
        "['cat', 'dog', 'bird']",
        '["cat", "dog", "bird"]',
        "{0: cat, 1: dog, 2: bird}",
        "0: cat, 1: dog, 2: bird",
        "2: bird, 0: cat, 1: dog",
        "1) cat, 2) dog, 3) bird",
        "0=cat;1=dog;2=bird",
    ],
)
def test_lists_in_a_string(words):
    assert Vocabulary.parse(words).class_names == PETS


def test_strings_that_are_no_lists_stay_as_they_are():
    assert Vocabulary.parse("2 cats,16:9 screen,st. bernard").class_names == (
        "2 cats",
        "16:9 screen",
        "st. bernard",
    )
    assert Vocabulary.parse(r"salt\; pepper,dog").class_names == ("salt; pepper", "dog")
    assert Vocabulary.parse('"salt, pepper",dog').class_names == ("salt, pepper", "dog")
    assert Vocabulary.parse("cat\uff5ckitten,dog").classes == (("cat", "kitten"), ("dog",))
    assert Vocabulary.parse('5" disk,cat').class_names == ('5" disk', "cat")
    assert Vocabulary.parse("\U0001f468\u200d\U0001f33e,cat").class_names[1] == "cat"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("cat, kitten; dog, puppy", "got both"),
        ("cat . dog . bird", "got points"),
        ("cat. dog. bird.", "got points"),
        ("0: cat, dog", "a number at every class or at none"),
        ("0: cat, 2: dog", "got 2 in place of 1"),
        (["cat", "dog; bird"], "one class each"),
        (["cat", "dog\u3001bird"], "one class each"),
        ("caf\u00e9,cafe\u0301", "every name once"),
        ("cat,\uff23\uff21\uff34", "every name once"),
        ("cat\u200e,dog", "printable"),
        ("co\u00adlour,dog", "printable"),
        ("[&a cat, *a]", "without references"),
    ],
)
def test_strings_of_two_meanings_are_refused(words, reason):
    assert reason in refusal(words)


@pytest.mark.parametrize(
    "content",
    [
        "cat\ndog\nbird",
        "\ufeffcat\r\ndog\r\nbird\r\n",
        "cat\rdog\rbird\r",
        "cat,\ndog,\nbird\n",
        "cat;\ndog;\nbird;\n",
        "- cat\n- dog\n- bird\n",
        "n02121808 cat\nn02084071 dog\nn01503061 bird\n",
        "'cat',\n'dog',\n'bird'\n",
        "0\tcat\n1\tdog\n2\tbird\n",
        "0 cat\n1 dog\n2 bird\n",
        "0: cat\n1: dog\n2: bird\n",
        "  0: cat,\n  1: dog,\n  2: bird,\n",
        "1. cat\n2. dog\n3. bird\n",
        "3 bird\n1 cat\n2 dog\n",
        "[0] cat\n[1] dog\n[2] bird\n",
        "0,cat\n1,dog\n2,bird\n",
        "cat,0\ndog,1\nbird,2\n",
        "cat 0\ndog 1\nbird 2\n",
        "cat: 0\nbird: 2\ndog: 1\n",
        "cat\t0\ndog\t1\nbird\t2\n",
        "id,name\n0,cat\n1,dog\n2,bird\n",
        "Idx\tRatio\tName\n1\t0.3\tcat\n2\t0.2\tdog\n3\t0.1\tbird\n",
        '["cat", "dog", "bird"]',
        "[cat, dog,\n bird]\n",
    ],
)
def test_lines(tmp_path, content):
    for name in ("words.txt", "words.names"):
        assert read(tmp_path, name, content).class_names == PETS


def test_utf_16_as_windows_saves_it(tmp_path):
    for encoding in ("utf-16", "utf-32"):
        content = "cat\r\ndog\r\nbird\r\n".encode(encoding)
        assert read(tmp_path, "words.txt", content).class_names == PETS


def test_lines_whose_numbers_are_part_of_the_names(tmp_path):
    names = ["word 0", "word 1", "2 wheeler", "7 eleven", "16:9 screen", "C# book"]
    assert read(tmp_path, "words.txt", "\n".join(names)).class_names == tuple(names)
    names = ["class 1", "class 2"]
    assert read(tmp_path, "words.txt", "\n".join(names)).class_names == tuple(names)
    names = ["thing 1|object 1", "thing 2|object 2"]
    classes = (("thing 1", "object 1"), ("thing 2", "object 2"))
    assert read(tmp_path, "words.txt", "\n".join(names)).classes == classes
    assert read(tmp_path, "words.txt", "747 jet\n").class_names == ("747 jet",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("cat,dog\n", "one class a line"),
        ("cat\tdog\n", "one class a line"),
        ("cat;kitten\ndog;puppy\n", "one class a line"),
        ("0: cat\ndog\n", "a number at every class or at none"),
        ("0\tcat\n2\tdog\n", "got 2 in place of 1"),
        ("0 cat\n0 dog\n", "got 0 in place of 1"),
        ("7 eleven\n3 musketeers\n", "got 3 in place of 0"),
        ("128 64 128 road\n244 35 232 pavement\n", "one class a line"),
        ("road 128 64 128\npavement 244 35 232\n", "one class a line"),
        ("0,cat\n1\n", "one class a line"),
        ("id,title\n0,cat\n", "one class a line"),
        ("0: cat\n255: void\n", "got 255 in place of 1"),
    ],
)
def test_lines_that_are_refused(tmp_path, content, reason):
    path = tmp_path / "words.txt"
    path.write_text(content)
    assert reason in refusal(str(path))


@pytest.mark.parametrize(
    "content",
    [
        "cat\ndog\nbird\n",
        "name\ncat\ndog\nbird\n",
        "id;name\n1;cat\n2;dog\n3;bird\n",
        '\ufeff"id","name"\r\n"0","cat"\r\n"1","dog"\r\n"2","bird"\r\n',
        ",class\n0,cat\n1,dog\n2,bird\n",
        "name,r,g,b\ncat,1,2,3\ndog,4,5,6\nbird,7,8,9\n",
        "name,id,trainId,category\ncat,0,0,pet\ndog,1,1,pet\nbird,2,2,pet\n",
        "label,name\n2,bird\n0,cat\n1,dog\n",
    ],
)
def test_tables(tmp_path, content):
    assert read(tmp_path, "words.csv", content).class_names == PETS
    if "," in content and '"' not in content:
        assert read(tmp_path, "words.tsv", content.replace(",", "\t")).class_names == PETS


def test_tables_quote_names_with_a_comma(tmp_path):
    names = read(tmp_path, "words.csv", 'id,name\n0,"door, open"\n1,"door, closed"\n').class_names
    assert names == ("door, open", "door, closed")
    assert read(tmp_path, "words.csv", '"door, open"\n"door, closed"\n').class_names == names


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("id,trainId,name\n0,7,cat\n1,3,dog\n", "one column with numbers"),
        ("id,name\n0,cat\n2,dog\n", "got 2 in place of 1"),
        ("id;name\n0;door, double door\n1;wall\n", "one name in a cell"),
        ("cat,kitten\ndog,puppy\n", "one class a line"),
        ("id,class\n0,1\n1,2\n", "a column called name"),
    ],
)
def test_tables_that_are_refused(tmp_path, content, reason):
    path = tmp_path / "words.csv"
    path.write_text(content)
    assert reason in refusal(str(path))


@pytest.mark.parametrize(
    "content",
    [
        [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}, {"id": 3, "name": "bird"}],
        [{"name": name, "supercategory": "pet"} for name in PETS],
        {"images": [], "categories": [{"id": i, "name": name} for i, name in enumerate(PETS)]},
        {"0": "cat", "2": "bird", "1": "dog"},
        {"dog": 1, "cat": 0, "bird": 2},
        {"model": "x", "id2label": {"0": "cat", "1": "dog", "2": "bird"}},
        {"names": PETS},
    ],
)
def test_structures(tmp_path, content):
    text = json.dumps(content)
    for name in ("words.json", "words.yaml", "words.txt"):
        assert read(tmp_path, name, text).class_names == PETS


def test_yaml(tmp_path):
    for content in (
        "- cat\n- dog\n- bird\n",
        "path: pets\nnc: 3\nnames:\n  0: cat\n  1: dog\n  2: bird\n",
        "names: [cat, dog, bird]\n",
        "names: {2: bird, 1: dog, 0: cat}\n",
    ):
        assert read(tmp_path, "words.yaml", content).class_names == PETS
    names = read(tmp_path, "words.yml", "[[no, off], on, 007]").classes
    assert names == (("no", "off"), ("on",), ("007",))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", '[{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}]', "got 3 in place of 2"),
        ("a.json", '[{"id": 1, "name": "cat"}, {"name": "dog"}]', 'number as "id"'),
        ("a.json", '[{"id": true, "name": "cat"}]', 'number as "id"'),
        ("a.json", '[{"id": 1}]', '"name" in every category'),
        ("a.json", '{"0": "cat", "0": "dog"}', "every key once"),
        ("a.json", '{"cat": 0, "dog": 2}', "got 2 in place of 1"),
        ("a.json", '{"cat": "dog"}', "expected a list"),
        ("a.json", "[" * 100_000, "at most 20 deep"),
        ("a.json", "[" * 300 + "]" * 300, "as text, got"),
        ("a.yaml", "[" * 100_000, "at most 20 deep"),
        ("a.yaml", "names: {0: cat, 0: dog}", "every key once"),
        ("a.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]\n", "without references"),
        ("a.yaml", "a: &a {x: 1}\nnames: {<<: *a}\n", "without references"),
        ("a.yaml", "names: [cat\n", "expected YAML"),
        ("a.yaml", "- cat\n" * 100_000, "at most 500,000 characters"),
        ("a.txt", "cat\n" * 1_000_001, "at most 4,000,000 bytes"),
        ("a.txt", "".join(f"word {n}\n" for n in range(MAX_NAMES + 1)), "at most 100,000"),
    ],
)
def test_structures_and_sizes_that_are_refused(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_text(content)
    assert reason in refusal(str(path))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("a" * 10_000_000, "at most 4,000,000 characters"),
        ("a," * 5_000_000, "at most 4,000,000 characters"),
        ("\\" * 10_000_000, "at most 4,000,000 characters"),
        ("a" * (MAX_NAME + 1), "at most 4,000 characters"),
        (["a" * (MAX_NAME + 1)], "at most 4,000 characters"),
        ((f"word {number}" for number in count()), "at most 100,000"),
        ([["a"] * 2 + [f"word {number}" for number in range(MAX_NAMES)]], "at most 100,000"),
    ],
)
def test_bounds_are_named(words, reason):
    assert reason in refusal(words)


def test_one_long_word_is_split_in_one_pass():
    word = "a\\b" * (MAX_TEXT // 30)
    assert split_escaped(word, ",") == [word]
    assert split_escaped(word + "," + word, ",") == [word, word]


def test_unseen_classes_come_from_the_same_files(tmp_path):
    path = tmp_path / "unseen.yaml"
    path.write_text("names: {1: dog, 0: cat}")
    assert read_unseen_classes(str(path)) == ("cat", "dog")
    assert read_unseen_classes("cat\uff0cdog") == ("cat", "dog")
