"""How paths and names are quoted in messages: in one line, and not at any length."""

import os


def shown(text: str | os.PathLike[str], longest: int = 100) -> str:
    """A path, address or name for a message.

    Args:
        text: anything; a file can bring names of any length, with any characters.
        longest: characters; of a longer one the beginning and the end are shown.

    Returns:
        One line of printable characters.
    """
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in os.fspath(text))
    if len(line) <= longest:
        return line
    head = longest // 3
    return f"{line[:head]}...{line[len(line) - (longest - head - 3) :]}"
