"""What CLIP's tokens do to names: the ends that are cut, and the names that become one."""

from collections.abc import Iterator, Sequence

from torch import Tensor

_QUOTED = 3  # names in a warning
_LENGTH = 40  # characters of a name in a warning


def warnings_about(
    names: Sequence[str], tokens: Tensor, *, padding: int, ends_at_largest: bool
) -> Iterator[str]:
    """Say which names CLIP does not see whole, and which it cannot tell apart.

    Args:
        names: all different.
        tokens: N x context length, of a prompt with each of the names.
        padding: the token behind the text.
        ends_at_largest: the token with the highest number ends the text, and what stands behind it
            is not read.
    """
    rows = tokens.tolist()
    long = [name for name, row in zip(names, rows, strict=True) if row[-1] != padding]
    if long:
        yield (
            f"{len(long)} of {len(names)} names fill CLIP's {tokens.shape[1]} tokens and may have "
            f"been cut ({_quoted(long)}); shorten them"
        )
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, row in zip(names, rows, strict=True):
        end = row.index(max(row)) + 1 if ends_at_largest else len(row)
        groups.setdefault(tuple(row[:end]), []).append(name)
    for alike in (group for group in groups.values() if len(group) > 1):
        yield (
            f"{len(alike)} names are one and the same to CLIP ({_quoted(alike)}), so that it "
            "cannot tell them apart; reword them, with what differs at the beginning"
        )


def _quoted(names: Sequence[str]) -> str:
    shown = (n if len(n) <= _LENGTH else f"{n[: _LENGTH - 13]}...{n[-10:]}" for n in names)
    more = ", ..." if len(names) > _QUOTED else ""
    return ", ".join(repr(name) for name, _ in zip(shown, range(_QUOTED), strict=False)) + more
