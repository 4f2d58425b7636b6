"""The configuration keys that all methods of fgaseg_d2 share, with their defaults.

The keys of one method are in its folder: ``methods/<method>/config.py``. The defaults are FGAseg
with CLIP ViT-B/16 at 384 x 384, plain decoder, fusion by concatenation.
"""

from detectron2.config import CfgNode as CN

from .methods import METHODS


def add_fgaseg_config(cfg: CN) -> None:
    """Add the keys of fgaseg_d2, and of all its methods, to a Detectron2 configuration, in place.

    Args:
        cfg: usually ``detectron2.config.get_cfg()``; keys that Detectron2 already has are given the
            defaults this family of models uses (RGB input, AdamW's learning rate, ...).
    """
    cfg.MODEL.META_ARCHITECTURE = "FGASeg"
    cfg.MODEL.BACKBONE.NAME = "build_image_tower"  # the class that suits MODEL.CLIP.NAME
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.SEM_SEG_HEAD.NAME = "FGASegHead"
    cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE = 255
    # Unless they are changed, a CLIP that was trained with others gets its own.
    cfg.MODEL.PIXEL_MEAN = [122.7709383, 116.7460125, 104.09373615]  # CLIP's, RGB, range 0..255
    cfg.MODEL.PIXEL_STD = [68.5005327, 66.6321579, 70.32316305]
    # Accept a checkpoint that fills only a part of the model (the rest keeps its initial values).
    cfg.MODEL.WEIGHTS_PARTIAL = False
    # How logits become scores: "sigmoid" (each word by itself), "softmax" (the words compete), or
    # "" for what the method was trained with.
    cfg.MODEL.SCORES = ""
    _add_clip(cfg)
    _add_words(cfg)
    _add_datasets(cfg)
    _add_training(cfg)
    _add_inference(cfg)
    for method in METHODS.values():
        method.add_keys(cfg)


def _add_datasets(cfg: CN) -> None:
    # Datasets of your own: a list of {name: ..., images: ..., labels: ..., vocabulary: ...} and,
    # where it is not 255 (65535 above 255 classes), ignore_label; see docs/OWN_DATASET.md.
    cfg.DATASETS.FOLDERS = []
    # And of pictures with captions: a list of {name: ..., file: ...}, a table with the columns
    # image and caption, and where these differ images (a folder) and columns (two titles).
    cfg.DATASETS.CAPTIONS = []
    # And of pictures with segments: a list of {name: ..., file: ...}, JSON Lines as docs/USE.md
    # describes them, and where that is not the file's folder images.
    cfg.DATASETS.SEGMENTS = []
    # The words to evaluate with, one item for each of DATASETS.TEST: what --vocab takes, such as
    # "ade20k_847:all" for all names of a class; "" stands for the dataset's own words.
    cfg.DATASETS.TEST_VOCABULARIES = ()
    # Classes that training must not see: their pixels are ignored, and they do not compete. The
    # evaluation tells seen from unseen ones. Names or numbers ("cat,dog", "3,7"), a file with one
    # class a line, a split's name ("voc_15_5", "coco_stuff_156_15", "context_49_10_a" or "_b"), or
    # "metadata" for what each dataset says itself. Empty: training sees all, and the evaluation
    # goes by the metadata.
    cfg.DATASETS.UNSEEN = ""


def _add_clip(cfg: CN) -> None:
    clip = CN()
    # A model name of open_clip, or the path of an open_clip model configuration (.json). Where only
    # an image tower is needed, also a name of timm. docs/TOWERS.md lists what there is.
    clip.NAME = "ViT-B-16-quickgelu"
    # A pretrained tag of open_clip ("openai"), the path or http(s) address of a CLIP checkpoint, or
    # "" for random weights. Never fetched when MODEL.WEIGHTS names a checkpoint: that brings CLIP's
    # weights.
    clip.PRETRAINED = "openai"
    # How the last block gives a dense map: "fgaseg" (what FGAseg's weights were trained with), or,
    # for a CLIP that was not trained densely, "clip", "maskclip", "sclip", "naclip" or "clearclip";
    # see docs/TRAINING_FREE.md. "declip" is what CAT-Seg on DeCLIP's towers was trained with,
    # "proxyclip" needs MODEL.DENSE_CLIP.PROXY.
    clip.DENSE_READING = "fgaseg"
    # DenseCLIPHead's logits are the cosines times this at first; it trains. 100 at most.
    clip.LOGIT_SCALE = 1 / 0.07
    # Height and width that every picture is resized to before CLIP sees it, multiples of the patch.
    # Empty: what the tower was made for. Unless it is changed, also where the patch does not divide
    # the default.
    clip.IMAGE_SIZE = [384, 384]
    # How learned position embeddings come to another grid: "bicubic" (what "" stands for with
    # open_clip's own towers) or "antialias" (bicubic, smoothed; with timm's, which does it).
    clip.POSITION_RESIZE = ""
    # The two blocks, counted from 0, whose outputs guide the decoder: earlier, later.
    # Empty: one third and two thirds of the depth (3 and 7 of 12, 7 and 15 of 24), or the stages at
    # four times and twice the last one's resolution.
    clip.GUIDANCE_BLOCKS = []
    # Which CLIP parameters train: "frozen", "prompt", "attention" (the q and v weights), "full"
    # (everything in the transformer blocks) or "scratch" (all of CLIP, embeddings included).
    clip.FINETUNE = "attention"
    # Deep prompt tokens of the image tower, for FINETUNE "prompt": tokens a block, first blocks.
    clip.PROMPT_LENGTH = 0
    clip.PROMPT_DEPTH = 0
    # Recompute CLIP's activations in the backward pass: less memory, about a third more time.
    clip.GRADIENT_CHECKPOINTING = False
    # A folder with the files of a Hugging Face tokenizer, for a text tower that needs one (SigLIP).
    # Empty: from the cache of transformers, or the network.
    clip.TOKENIZER = ""
    # Text embeddings of 32 prompts and more are kept between runs, in iopath's cache folder
    # ($FVCORE_CACHE, ~/.torch/iopath_cache), in files of this many MiB together. 0: not kept.
    clip.TEXT_CACHE_SIZE = 256
    cfg.MODEL.CLIP = clip


def _add_words(cfg: CN) -> None:
    cfg.MODEL.WORDS = CN()
    # The words to look for when the input brings none: "cat,dog", a file, or the name of a
    # benchmark or of a registered dataset.
    # Empty: the stuff_classes of the first dataset of DATASETS.TRAIN (training) or TEST.
    cfg.MODEL.WORDS.VOCABULARY = ""
    # "single", "imagenet" (80 templates averaged into one embedding), a template of your own with
    # one "{}", or the path of a text file with one template a line.
    cfg.MODEL.WORDS.PROMPT_TEMPLATES = "single"


def _add_training(cfg: CN) -> None:
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.MIN_SIZE_TRAIN = (384,)
    cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING = "choice"
    cfg.INPUT.MAX_SIZE_TRAIN = 4096
    cfg.INPUT.MIN_SIZE_TEST = 640
    cfg.INPUT.MAX_SIZE_TEST = 2560
    cfg.INPUT.CROP.ENABLED = True
    cfg.INPUT.CROP.TYPE = "absolute"
    # "resized": a window of a share of the picture's area, drawn from AREA, is made SIZE; its width
    # is 3/4 to 4/3 of its height, and MIN_SIZE_TRAIN is not asked.
    cfg.INPUT.CROP.SIZE = [384, 384]
    cfg.INPUT.CROP.AREA = [0.08, 1.0]
    # A crop in which one class covers more than this share of the pixels is drawn again.
    cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA = 1.0
    cfg.INPUT.COLOR_AUG_SSD = False

    cfg.SOLVER.OPTIMIZER = "ADAMW"
    cfg.SOLVER.ADAMW_EPS = 1e-8  # AdamW's term beside the root of its second moment
    cfg.SOLVER.BASE_LR = 2e-4
    # What belongs to these roles learns at BASE_LR times this: CLIP's towers, prompts, a method's
    # single numbers where they are a role of their own (MGCA's gates), all else.
    cfg.SOLVER.LR_MULTIPLIERS = CN()
    cfg.SOLVER.LR_MULTIPLIERS.CLIP = 0.01
    cfg.SOLVER.LR_MULTIPLIERS.PROMPTS = 1.0
    cfg.SOLVER.LR_MULTIPLIERS.SCALARS = 1.0
    cfg.SOLVER.LR_MULTIPLIERS.HEAD = 1.0
    cfg.SOLVER.CLIP_MULTIPLIER = 0.01  # old name of LR_MULTIPLIERS.CLIP
    cfg.SOLVER.WEIGHT_DECAY = 1e-4
    cfg.SOLVER.WEIGHT_DECAY_NORM = 0.0
    cfg.SOLVER.WEIGHT_DECAY_EMBED = 0.0
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupCosineLR"
    cfg.SOLVER.POLY_LR_POWER = 0.9  # of "WarmupPolyLR", which ends at SOLVER.BASE_LR_END
    cfg.SOLVER.WARMUP_FACTOR = 1.0
    cfg.SOLVER.WARMUP_ITERS = 0
    cfg.SOLVER.AMP.DTYPE = "float16"  # or "bfloat16"; used when SOLVER.AMP.ENABLED
    cfg.SOLVER.ACCUMULATE_STEPS = 1  # batches a step of the optimiser; IMS_PER_BATCH is one batch


def _add_inference(cfg: CN) -> None:
    cfg.TEST.SLIDING_WINDOW = CN()
    cfg.TEST.SLIDING_WINDOW.ENABLED = False
    cfg.TEST.SLIDING_WINDOW.CANVAS = [640, 640]  # the picture is squashed to this ...
    cfg.TEST.SLIDING_WINDOW.SIZE = [384, 384]  # ... cut into windows of this size ...
    cfg.TEST.SLIDING_WINDOW.STRIDE = [256, 256]  # ... at this stride, and seen once as a whole.
    # Above 0: pictures keep their shape instead, with this shorter side and at most that longer
    # one, and are seen by windows alone.
    cfg.TEST.SLIDING_WINDOW.SHORT_SIDE = 0
    cfg.TEST.SLIDING_WINDOW.LONG_SIDE = 2048
    # Views (windows and whole pictures) that go through the model together; this bounds the memory.
    # FAST and KEEP_CLASSES take all views of a picture together.
    cfg.TEST.MAX_VIEWS = 8
    cfg.TEST.IMS_PER_BATCH = 1  # pictures that the evaluation gives to the model together
    cfg.TEST.MAX_PICTURES = 0  # evaluate on the first ones of each test set, this many. 0: on all
    # Let class scores follow the edges of the picture (PAMR): iterations, 0 for none, and distances
    # of a pixel's neighbors. TCL: 10 with these; NACLIP: 10 with [8, 16].
    cfg.TEST.PAMR = CN()
    cfg.TEST.PAMR.ITERATIONS = 0
    cfg.TEST.PAMR.DILATIONS = [1, 2, 4, 8, 12, 24]
    _add_segments(cfg)
    # Test-time augmentation (TEST.AUG.ENABLED, TEST.AUG.FLIP): with the size s here a picture is
    # looked at with s / INPUT.MIN_SIZE_TEST times the resolution.
    cfg.TEST.AUG.MIN_SIZES = (512, 640, 768)
    # Beside the figures of Detectron2's SemSegEvaluator: boundary IoU, and the mIoU of Detectron2
    # before July 2022.
    cfg.TEST.BOUNDARY_IOU = False
    # And into how many pieces the predictions fall: connected components over those of the truth.
    cfg.TEST.FRAGMENTS = False
    cfg.TEST.OLD_MIOU_RULE = False
    # On test sets whose class 0 is background, above 0: the word is not looked for, and background
    # is where no class's probability reaches this. 0: background is a word as others are.
    cfg.TEST.BACKGROUND_THRESHOLD = 0.0
    # On the same sets, words that are looked for and stand for background beside that, such as
    # "background" or "sky,wall,road". One that is a class of the set is left out there.
    cfg.TEST.BACKGROUND_WORDS = ""
    cfg.TEST.UNSEEN_CLASSES = ""  # old name of DATASETS.UNSEEN
    # Keep the label maps, to look at and to score again without the model.
    cfg.TEST.SAVE_PREDICTIONS = False
    cfg.TEST.AMP_DTYPE = ""  # autocast at inference: "", "float16" or "bfloat16"


def _add_segments(cfg: CN) -> None:
    # The places of a segment agree on the mean of their scores; with any method.
    cfg.TEST.SEGMENT_VOTE = False
    proposals = CN()
    # Where segments come from, for that and for USE: "superpixels" (extra [use]), "sam" (SAM's or
    # SAM 2's automatic masks, extra [use]), "given" (with the input) or "file".
    proposals.KIND = "superpixels"
    proposals.SUPERPIXELS = 256  # of a picture, about
    proposals.COMPACTNESS = 10.0  # the more, the more square
    proposals.SAM = "facebook/sam-vit-base"  # a name on the Hugging Face hub, or a folder
    proposals.POINTS = 32  # of the grid that SAM is asked at, a side
    proposals.IOU = 0.88  # predicted, at least
    proposals.STABILITY = 0.95  # of a mask under another threshold, at least
    proposals.NMS = 0.7  # IoU of two masks' boxes above which the better one stays
    proposals.SMALLEST = 100  # pixels of a mask of SAM's, at least
    proposals.SAME = 0.8  # IoU of two masks of SAM's above which the better one stays
    proposals.FILE = ""  # JSON Lines, see docs/USE.md
    # Segments of pictures are kept between runs, in iopath's cache folder ($FVCORE_CACHE), in files
    # of this many MiB together. 0: not kept.
    proposals.CACHE = 256
    cfg.TEST.PROPOSALS = proposals
