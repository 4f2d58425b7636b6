"""Checkpoints that an interruption or a full disk cannot damage."""

import os
from typing import Any

import torch

from ..checkpoint.checkpointer import FGASegCheckpointer
from ..io.files import atomic_path

_THEN = "continue with --resume; earlier checkpoints are intact"


class TrainingCheckpointer(FGASegCheckpointer):
    """FGASegCheckpointer that writes beside the target and moves the finished file into place."""

    def save(self, name: str, **kwargs: Any) -> None:
        """Save the model and everything that the checkpointer tracks.

        Args:
            name: of the file in the folder of the checkpointer, without ".pth".
            kwargs: further entries of the checkpoint.

        Raises:
            WriteError: the file could not be written; earlier checkpoints are as they were.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        data = {"model": self.model.state_dict()}
        data.update({key: tracked.state_dict() for key, tracked in self.checkpointables.items()})
        data.update(kwargs)
        path = os.path.join(self.save_dir, f"{name}.pth")
        self.logger.info("Saving checkpoint to %s", path)
        # Into a file of ours, because with a path torch.save does not say why it failed.
        with atomic_path(path, "", _THEN) as temporary, temporary.open("wb") as file:
            torch.save(data, file)
        self.tag_last_checkpoint(f"{name}.pth")

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Note which checkpoint is the last.

        Args:
            last_filename_basename: name of a file in the folder of the checkpointer.

        Raises:
            WriteError: the note could not be written; the earlier one is as it was.
        """
        path = os.path.join(self.save_dir, "last_checkpoint")
        with atomic_path(path, "", _THEN) as temporary:
            temporary.write_text(last_filename_basename, encoding="utf-8")
