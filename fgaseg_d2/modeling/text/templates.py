"""Prompt templates: sentences with one "{}" for the class name."""

from pathlib import Path

from ...io.file_errors import reading
from ...io.regular_files import home_path, is_file
from ...wording import plain, shown

SINGLE = ("A photo of a {} in the scene",)


def resolve_templates(value: str) -> tuple[str, ...]:
    """Read templates, or find them by name.

    Args:
        value: "single", "imagenet" (CLIP's 80 sentences), a template with one "{}", or the path of
            a text file with one template a line.

    Raises:
        ValueError: a template without exactly one "{}", or no template at all.
        FileNotFoundError: the file is not there.
    """
    if value == "single":
        return SINGLE
    if value == "imagenet":
        from open_clip import OPENAI_IMAGENET_TEMPLATES

        return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
    if "{}" in value:
        found: tuple[str, ...] = (value,)
    else:
        path = home_path(value)
        if not is_file(path):
            raise FileNotFoundError(
                "expected `templates` to be 'single', 'imagenet', a template with '{}' or a text "
                f"file, got {shown(value)}, which is none of them."
            )
        lines = _lines(path)
        found = tuple(line.strip() for line in lines if line.strip())
    for template in found:
        if template.count("{}") != 1:
            raise ValueError(f"expected a prompt template with one '{{}}', got {shown(template)}.")
    if not found:
        raise ValueError(f"expected at least one prompt template, got an empty {plain(value)}.")
    return found


def _lines(path: Path) -> list[str]:
    with reading(path, "prompt templates"):
        data = path.read_bytes()
    try:
        return data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected prompt templates as UTF-8 text in {shown(path, 200)}, got other bytes; save "
            "it as UTF-8"
        ) from error
