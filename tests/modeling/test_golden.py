"""Agreement with the authors' code at the real ViT-B/16 size."""

import pytest
from parity.golden import read_golden
from parity.measure import measure

from tests.conftest import GOLDEN

FILES = sorted(GOLDEN.glob("*.npz"), key=lambda path: ("train" in path.stem, path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_agrees_with_the_authors_code(path):
    golden = read_golden(path)
    rows = list(measure(golden))
    assert len(rows) >= len(golden.outputs)
    assert [row for row in rows if not row.agrees] == []
