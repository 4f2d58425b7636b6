"""Where open_clip keeps the weights that it has fetched."""

import open_clip
from huggingface_hub import try_to_load_from_cache

# As open_clip calls them in a repository of a hub, by preference.
_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def kept_clip(name: str, tag: str) -> str:
    """The file of a CLIP's weights that open_clip would load without fetching it; "" for none.

    Args:
        name: of a model in open_clip, such as "ViT-B-16-quickgelu".
        tag: of its weights, such as "openai".
    """
    repository, _, file = open_clip.get_pretrained_cfg(name, tag).get("hf_hub", "").rpartition("/")
    for candidate in (file,) if file else _NAMES:
        found = try_to_load_from_cache(repository, candidate) if repository else None
        if isinstance(found, str):
            return found
    return ""
