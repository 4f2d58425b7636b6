"""Loaders: a training stream that depends on seed and iteration alone, and one for testing."""

import logging
from collections.abc import Iterable, Iterator, Sequence

from detectron2.config import CfgNode
from detectron2.data import DatasetFromList, MapDataset, build_detection_test_loader
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.utils import comm
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from ..parallel import end_with_parent
from ..vocabulary import Vocabulary
from ..vocabulary.dataset_words import CAPTIONED, LABELLED, SEGMENTED
from ..wording import shown
from .dataset_words import training_vocabulary
from .labels import LabelSpec, outside_classes
from .mappers.captioned import CaptionMapper
from .mappers.labelled import SemanticMapper
from .mappers.segmented import SegmentMapper
from .records import dataset_kind, dataset_records
from .sampling import PositionSampler, SeededDataset
from .shards.broken import BrokenTally
from .shards.records import ShardRecords
from .shards.samples import PASSED_OVER, ShardSamples

# How a training sample of each kind is made.
_TRAIN_MAPPERS = {
    LABELLED: SemanticMapper,
    CAPTIONED: CaptionMapper,
    SEGMENTED: SegmentMapper,
}

logger = logging.getLogger(__name__)


class TrainLoader:
    """Batches of the training stream from any iteration on.

    A resumed run gets the very samples that the uninterrupted run would have got, whatever the
    number of worker processes. Iterating anew begins at ``start_iter`` again.
    """

    def __init__(
        self,
        groups: Sequence[Dataset],
        *,
        total_batch_size: int,
        batches_per_iter: int = 1,
        num_workers: int = 0,
        seed: int = 0,
        tally: BrokenTally | None = None,
    ):
        """Take everything as plain values.

        Args:
            groups: map-style datasets, one dict a sample. Their samples share no batch: the groups
                take turns, one batch each.
            total_batch_size: samples of a batch over all ranks.
            batches_per_iter: batches that one iteration of training takes.
            num_workers: processes that load, 0 for none.
            seed: of shuffling and augmentation, 0 or more.
            tally: counts what was passed over in all processes, and ends the training where that is
                too much; None where nothing is passed over.

        Raises:
            ValueError: the batch cannot be shared equally by the ranks.
        """
        self.world_size = comm.get_world_size()
        if total_batch_size <= 0 or total_batch_size % self.world_size:
            raise ValueError(
                f"expected SOLVER.IMS_PER_BATCH to be a positive multiple of the number of "
                f"processes ({self.world_size}), got {total_batch_size}"
            )
        self.groups = tuple(groups)
        self.total_batch_size = total_batch_size
        self.batches_per_iter = batches_per_iter
        self.num_workers = num_workers
        self.seed = seed
        self.tally = tally
        self.start_iter = 0

    def __iter__(self) -> Iterator[list[dict]]:
        sampler = PositionSampler(
            [len(group) for group in self.groups],  # type: ignore[arg-type]
            batch_size=self.total_batch_size,
            seed=self.seed,
            start=self.start_iter * self.batches_per_iter * self.total_batch_size,
            rank=comm.get_rank(),
            world_size=self.world_size,
        )
        # Not build_batch_data_loader: its iterable wrapper shards by worker, and in some releases
        # of Detectron2 the order then depends on the number of workers.
        batches = DataLoader(
            SeededDataset(ConcatDataset(self.groups), self.seed),
            batch_size=self.total_batch_size // self.world_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=list,
            pin_memory=False,
            worker_init_fn=end_with_parent,
        )
        return iter(batches) if self.tally is None else _counted(batches, self.tally)


def _counted(batches: Iterable[list[dict]], tally: BrokenTally) -> Iterator[list[dict]]:
    """The same batches; all ranks know what one of them has passed over, and end together."""
    for batch in batches:
        found = {one for item in batch for one in item.pop(PASSED_OVER, ())}
        if comm.get_world_size() > 1:
            found = set().union(*comm.all_gather(found))
        tally.add(found)
        yield batch


def build_train_loader(cfg: CfgNode, seed: int) -> TrainLoader:
    """Build the training stream of DATASETS.TRAIN.

    Datasets of one kind with the same words are joined. Those with others take turns with them, a
    batch each, because a batch is trained on one vocabulary, or on captions.

    Args:
        cfg: DATASETS.TRAIN, DATALOADER, SOLVER.IMS_PER_BATCH, SOLVER.ACCUMULATE_STEPS, INPUT,
            MODEL.META_ARCHITECTURE.
        seed: of shuffling and augmentation, 0 or more, the same on all ranks.

    Raises:
        ValueError: no dataset, or one that cannot be used.
        FileNotFoundError: as the datasets' own loading functions say, or a label file is missing.
    """
    if cfg.DATALOADER.SAMPLER_TRAIN != "TrainingSampler":
        raise ValueError(
            f"expected DATALOADER.SAMPLER_TRAIN 'TrainingSampler', got "
            f"{shown(cfg.DATALOADER.SAMPLER_TRAIN)}; only plain shuffling resumes exactly"
        )
    check_train_datasets(cfg)
    tally: BrokenTally | None = None
    groups: dict[tuple[str, Vocabulary | None], list[Dataset]] = {}
    for name in cfg.DATASETS.TRAIN:
        records, kind = dataset_records(name), dataset_kind(name)
        logger.info("%s: %d %s samples to train on", name, len(records), kind)
        mapper = _TRAIN_MAPPERS[kind](cfg, name)
        if isinstance(records, ShardRecords):
            # Its captions were looked at with its index.
            tally = tally or BrokenTally()
            tally.begin(name, records.broken_part)
            samples: Dataset = ShardSamples(name, records, mapper)
        else:
            mapper.look_over(records)
            samples = MapDataset(DatasetFromList(records, copy=False), mapper)
        groups.setdefault((kind, mapper.vocabulary), []).append(samples)
    if len(groups) > 1:
        logger.info(
            "%d groups of samples by kind and words; they take turns, a batch each", len(groups)
        )
    return TrainLoader(
        [ConcatDataset(parts) for parts in groups.values()],
        total_batch_size=cfg.SOLVER.IMS_PER_BATCH,
        batches_per_iter=cfg.SOLVER.ACCUMULATE_STEPS,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        seed=seed,
        tally=tally,
    )


def build_test_loader(cfg: CfgNode, dataset_name: str) -> DataLoader:
    """Build a loader that yields every sample that is tested of one dataset once over all ranks.

    Args:
        cfg: INPUT, TEST and DATALOADER.NUM_WORKERS are used.
        dataset_name: a registered dataset.

    Raises:
        ValueError: the dataset cannot be used.
        FileNotFoundError: as the dataset's own loading function says.
    """
    if cfg.TEST.IMS_PER_BATCH < 1:
        raise ValueError(f"expected TEST.IMS_PER_BATCH of 1 or more, got {cfg.TEST.IMS_PER_BATCH}.")
    return build_detection_test_loader(
        dataset_records(dataset_name, cfg.TEST.MAX_PICTURES),
        mapper=SemanticMapper(cfg, dataset_name, is_train=False),
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        batch_size=cfg.TEST.IMS_PER_BATCH,
    )


def check_train_datasets(cfg: CfgNode) -> None:
    """Check that DATASETS.TRAIN names registered datasets that the method can be trained on.

    Args:
        cfg: DATASETS.TRAIN and MODEL.META_ARCHITECTURE are used. A method's attribute
            ``sample_kinds`` says which kinds of samples it takes; without one it takes labelled
            ones.

    Raises:
        ValueError: it does not.
    """
    if not cfg.DATASETS.TRAIN:
        raise ValueError(
            "DATASETS.TRAIN is empty; name the registered datasets to train on, such as "
            "DATASETS.TRAIN \"('storybook_train',)\""
        )
    method = cfg.MODEL.META_ARCHITECTURE
    known = META_ARCH_REGISTRY.get(method) if method in META_ARCH_REGISTRY else None
    taken = getattr(known, "sample_kinds", (LABELLED,))
    for name in cfg.DATASETS.TRAIN:
        kind = dataset_kind(name)
        if kind not in taken:
            raise ValueError(
                f"expected {' or '.join(taken)} samples in DATASETS.TRAIN for "
                f"MODEL.META_ARCHITECTURE {method}, got {shown(name)}, whose samples are {kind}; "
                "leave it out, or choose another method"
            )
        if kind == LABELLED:
            training_vocabulary(LabelSpec.from_metadata(name))


def with_legal_ignore_value(cfg: CfgNode) -> CfgNode:
    """Return the configuration with an IGNORE_VALUE that is no class of DATASETS.TRAIN.

    Args:
        cfg: not changed. Detectron2's usual 255 is a class where there are more than 255.
    """
    labelled = [name for name in cfg.DATASETS.TRAIN if dataset_kind(name) == LABELLED]
    counts = [len(LabelSpec.from_metadata(name).classes) for name in labelled]
    wanted = cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE
    legal = outside_classes(wanted, max(counts, default=0))
    if legal == wanted:
        return cfg
    logger.info("MODEL.SEM_SEG_HEAD.IGNORE_VALUE %d is a class here; using %d", wanted, legal)
    frozen, cfg = cfg.is_frozen(), cfg.clone()
    cfg.defrost()
    cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE = legal
    if frozen:
        cfg.freeze()
    return cfg
