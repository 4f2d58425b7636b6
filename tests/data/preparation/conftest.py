"""What the tests of the preparation share."""

from pathlib import Path

import pytest

from tests.data.preparation.command import Command


@pytest.fixture
def command(tmp_path: Path, capfd: pytest.CaptureFixture) -> Command:
    """The command line on an empty root."""
    return Command(tmp_path, capfd)
