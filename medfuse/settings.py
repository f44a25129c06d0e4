"""The sections of a configuration, each a strict object with its defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Tune = Literal["frozen", "last", "lora", "full"]
Rank = Annotated[int, Field(ge=1, le=256)]
Side = Annotated[int, Field(ge=8, le=512)]
Millimetres = Annotated[float, Field(gt=0, le=100)]


class Strict(BaseModel):
    """An object that takes no key which it does not know, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VolumeConfig(Strict):
    """How a volume becomes windows for a network that looks at volumes; axes are right, front, head (RAS)."""

    size: tuple[Side, Side, Side] = (96, 96, 96)
    """Sides of a window, voxels."""
    spacing: tuple[Millimetres, Millimetres, Millimetres] | None = None
    """Millimetres between voxels after resampling, windows then slide over the volume; null fits it into one window."""
    values: tuple[float, float] | None = None
    """What becomes black and white, such as -1000 and 400 Hounsfield units; null takes percentiles of each volume."""
    overlap: Annotated[float, Field(ge=0, lt=0.9)] = 0.25
    """Share of a window that the next one sees again."""
    max_windows: Annotated[int, Field(ge=1, le=256)] = 8
    """Windows used of a volume; a warning says so when there are more."""


class AugmentConfig(Strict):
    """How the pictures of training cases are altered each epoch, for an encoder that learns; docs/training.md."""

    strength: Annotated[float, Field(gt=0, le=3)] = 1.0
    """At 1 up to 7 degrees, 5 % of a side, 10 % of the size, gamma 0.8 to 1.25, noise 0.02; 2 is twice that."""
    flip: bool = False
    """Whether left and right are exchanged in half of the pictures; wrong wherever the side tells something."""


class ImageConfig(Strict):
    """How scans become tokens."""

    encoder: Literal[
        "efficientnet-lite0",
        "monai-densenet121",
        "monai-resnet18",
        "monai-resnet50",
        "torchvision-resnet50",
        "transformers",
        "monai-3d-resnet10",
        "monai-3d-resnet18",
        "monai-3d-resnet50",
        "monai-3d-densenet121",
        "monai-3d-swin-unetr",
        "monai-3d-vit",
    ] = "efficientnet-lite0"
    """The network; those with 3d in their name look at whole volumes, the others at single images."""
    weights: str = "embedded"
    """`embedded` (inside a package), `imagenet` (the library's own download), `random`, or a file, folder or hub id."""
    tune: Tune = "frozen"
    """`frozen` (tokens are computed once and cached), `last` (the last block learns), `lora` (corrections of low rank
    to all linear maps of a transformer learn) or `full`."""
    rank: Rank = 8
    """Rank of the corrections that `lora` learns."""
    augment: AugmentConfig | None = None
    """How pictures are altered while an encoder learns; null leaves them as they are, {} takes the defaults."""
    size: Annotated[int, Field(ge=32, le=2048)] = 224
    """Side of the square that the network sees, pixels."""
    equalise: bool = False
    """Whether each scan's grey values are spread evenly, so that exposure and windowing of a hospital matter less."""
    max_scans: Annotated[int, Field(ge=1)] = 4
    """Scans used of a case, in the order of the table; a warning says so when there are more."""
    series: Annotated[str, Field(pattern=r"^(largest|first|description:.+)$")] = "largest"
    """Which series of a scan that is a folder: `largest`, `first` by number, or `description:` with a pattern (`*`)."""
    slices: Annotated[int, Field(ge=1, le=64)] = 8
    """Evenly spaced slices that stand for a volume where the network looks at single images."""
    volume: VolumeConfig | None = None
    """How volumes are cut for a network that looks at them; set for such a network, null for the others."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input of the network: [size, size], or a window [X, Y, Z]."""
        return (self.size, self.size) if self.volume is None else self.volume.size

    @model_validator(mode="after")
    def _volumes_fit(self) -> ImageConfig:
        deep = self.encoder.startswith("monai-3d-")
        if deep != (self.volume is not None):
            message = (
                f"encoder {self.encoder} looks at volumes; set image.volume, {{}} takes its defaults"
                if deep
                else f"encoder {self.encoder} looks at single images; leave image.volume out, image.slices is for it"
            )
            raise ValueError(message)
        if deep and self.weights == "random" and self.tune != "full":
            message = "weights 'random' start from nothing, so all of the network has to learn; set tune to full"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _augments_what_learns(self) -> ImageConfig:
        if self.augment is not None and self.tune == "frozen":
            message = "augment is for an encoder that learns; set tune to last, lora or full, or leave augment out"
            raise ValueError(message)
        return self


class TextConfig(Strict):
    """How notes become tokens."""

    encoder: Literal["minilm-l6", "transformers", "rnn", "lsa"] = "minilm-l6"
    """MiniLM-L6 (embedded), any transformers encoder, a GRU, or word vectors learned from the notes alone."""
    weights: str = "embedded"
    """`embedded`, a folder or a hub id such as `emilyalsentzer/Bio_ClinicalBERT`; the RNN has none."""
    tune: Tune = "frozen"
    """`frozen` (tokens are kept in a cache), `last` (the last layer learns), `lora` (corrections of low rank to all
    linear maps learn) or `full`; an RNN always learns."""
    rank: Rank = 8
    """Rank of the corrections that `lora` learns."""
    window: Annotated[int, Field(ge=16, le=8192)] = 256
    """Tokens of one window; a longer note is read in several windows, none of it is cut off."""
    overlap: Annotated[int, Field(ge=0)] = 32
    """Tokens of context that a window shares with the one before; they are encoded in both but kept once."""
    max_windows: Annotated[int, Field(ge=1)] = 16
    """Windows used of a case; a warning says so when there are more."""
    exclude_sections: tuple[str, ...] = (
        "FINDINGS",
        "IMPRESSION",
        "CONCLUSION",
        "RECOMMENDATION",
        "ADDENDUM",
        "DISCHARGE DIAGNOSIS",
        "ASSESSMENT",
        "PLAN",
        "HOSPITAL COURSE",
        "DISCHARGE SUMMARY",
    )
    """Sections, or kinds of notes, written after the image was read, which contain the diagnosis; allow them for report
    classification."""
    vocabulary: Annotated[int, Field(ge=16)] = 4000
    """Largest vocabulary of the RNN or the word vectors, learned from the training split."""
    assertions: bool = False
    """Whether what ConText finds negated, possible or historical is a word of its own; for `lsa` and `rnn` alone."""

    @model_validator(mode="after")
    def _assertions_are_words(self) -> TextConfig:
        if self.assertions and self.encoder not in ("lsa", "rnn"):
            message = f"assertions are words of their own, which '{self.encoder}' never saw; take encoder lsa or rnn"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _overlap_fits(self) -> TextConfig:
        if self.overlap >= self.window // 2:
            message = "overlap should be less than half of window"
            raise ValueError(message)
        return self


class TabularConfig(Strict):
    """How measured values become tokens."""

    columns: tuple[str, ...] | None = None
    """Columns used; null takes every tabular column of the cohort."""


class FusionConfig(Strict):
    """How the modalities are joined."""

    name: Literal["weighted_sum", "concat", "gate", "cross_attention", "late", "experts"] = "cross_attention"
    """Which fusion; docs/fusion.md has the formula of each and when to choose it."""
    width: Annotated[int, Field(ge=4, multiple_of=4)] = 64
    """Width of every token and of the fused vector."""
    components: Annotated[int, Field(ge=8)] = 128
    """Principal components that are kept of a frozen encoder's tokens, fitted on the training split."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Dropout on tokens and on the fused vector."""


class LossConfig(Strict):
    """What a wrong probability costs while the model learns; what that does to its logits is taken off again."""

    name: Literal["log", "focal", "asymmetric"] = "log"
    """Cross-entropy; the focal loss, which cares less about what is easy; or the asymmetric loss (multilabel only)."""
    focusing: Annotated[float, Field(ge=0, le=8)] = 2.0
    """Power by which easy cases count less; of the asymmetric loss that of negatives, 4 in its paper."""
    focusing_positive: Annotated[float, Field(ge=0, le=8)] = 0.0
    """The same for positives, of the asymmetric loss alone."""
    margin: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Probability below which a negative costs nothing, of the asymmetric loss alone, 0.05 in its paper; above 0 the
    probabilities are as good as the calibrator makes them, as what it does cannot be taken off."""


class TrainingConfig(Strict):
    """How the model learns."""

    epochs: Annotated[int, Field(ge=1)] = 40
    """Most passes over the training split."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Cases in one step, however many processes share it."""
    parts: Annotated[int, Field(ge=1)] = 1
    """Parts of a step: processes share them, and each takes its own one after another (gradient accumulation), which
    costs less memory. Rounded up to a multiple of the processes."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak of a one-cycle schedule, for all that starts from nothing: heads, an RNN and the corrections of `lora`."""
    encoder_learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    """The same for pretrained weights that are tuned."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """AdamW's decoupled decay."""
    patience: Annotated[int, Field(ge=1)] = 10
    """Epochs without a better validation loss before training stops."""
    modality_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Chance that a present modality is withheld from a case in a step; one always stays."""
    unimodal_loss: Annotated[float, Field(ge=0)] = 0.3
    """Weight of the loss that each modality alone has to keep low, so that none starves."""
    class_weights: bool = True
    """Whether rare classes weigh more, by the square root of their inverse frequency."""
    loss: LossConfig = LossConfig()
    """What a wrong probability costs."""
    uncertain: Literal["ignore", "zeros", "ones", "zeros_smoothed", "ones_smoothed"] = "ignore"
    """What a label marked -1 in the table (uncertain) counts as in training: nothing, 0, 1, or a draw near 0 or 1."""
    folds: Annotated[int, Field(ge=1, le=20)] = 1
    """Above 1, as many heads on frozen encoders, each trained on all patients but those of its fold and averaged; what
    each says of its own fold takes the place of the validation and calibration splits, and all epochs are run."""

    @model_validator(mode="after")
    def _parts_have_cases(self) -> TrainingConfig:
        if self.parts > self.batch_size:
            message = f"parts is {self.parts}, more than batch_size {self.batch_size}, the cases that they share"
            raise ValueError(message)
        return self


class ComputeConfig(Strict):
    """On what `medfuse train` runs; what is learned does not depend on it, but for rounding and draws of dropout."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """`auto` takes a GPU where there is one."""
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = 1
    """Processes on each machine: one a GPU, or as many on its processor; `auto` takes every GPU."""
    nodes: Annotated[int, Field(ge=1)] = 1
    """Machines."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """Whether each of several processes holds all weights (`ddp`), or they share those of encoders (`fsdp`)."""
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = "auto"
    """`auto`: on a GPU bfloat16 where it has it, else half precision, for products; single precision elsewhere."""
    checkpointing: bool = False
    """Whether encoders that learn compute each block again for its gradients, in place of keeping what it gave."""

    @model_validator(mode="after")
    def _fsdp_scales_no_loss(self) -> ComputeConfig:
        if self.strategy == "fsdp" and self.precision == "16-mixed":
            message = "strategy fsdp takes precision auto, 32 or bf16-mixed"
            raise ValueError(message)
        return self

    def alone(self) -> ComputeConfig:
        """The same with one process."""
        return self.model_copy(update={"devices": 1, "nodes": 1})


class PretrainingConfig(Strict):
    """How `medfuse pretrain` teaches encoders from cases whose labels it does not look at."""

    objective: Literal["masked", "pairs"] = "masked"
    """`masked` words of the notes are filled in by the text encoder, or `pairs` of scan and notes are told from wrong
    ones by both encoders, of which the one with `tune: frozen` stays as it is."""
    epochs: Annotated[int, Field(ge=1)] = 10
    """Most passes over the training split; the weights of the least held-out loss are kept."""
    batch_size: Annotated[int, Field(ge=2)] = 16
    """Windows of notes, or cases, in one step."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    """Peak of a one-cycle schedule, for pretrained weights."""
    mask: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of words that are to be filled in."""


class CalibrationConfig(Strict):
    """How logits become probabilities."""

    method: Literal[
        "auto",
        "temperature",
        "bias_corrected_temperature",
        "classwise_temperature",
        "platt",
        "vector",
        "beta",
        "dirichlet",
        "venn_abers",
        "isotonic",
    ] = "temperature"
    """The calibrator, fitted on the calibration split; `auto` takes the simplest of those with the least log loss."""
    patterns: Literal["common", "own", "withheld"] = "common"
    """One calibrator for all, or by pattern of modalities from the `own` cases, or with modalities `withheld` too."""
    sets: Literal["marginal", "class", "pattern"] = "marginal"
    """Whether the coverage holds over all cases, for each label by itself, or for each pattern of modalities."""
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of unseen cases whose true label the prediction set should hold."""
    sensitivity: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of each label's cases that its flag must find; null sets no such thresholds."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """How sure that promise of sensitivity is."""
    false_alarms: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of ordinary cases that may be flagged as unlike those of training."""


class InferenceConfig(Strict):
    """How frozen encoders run when cases are classified."""

    engine: Literal["torch", "onnx", "int8", "openvino", "auto"] = "torch"
    """`torch`, ONNX Runtime (`onnx`), the same with the text encoder in 8-bit integers (`int8`), OpenVINO with the text
    encoder in bfloat16 (`openvino`), or `auto`: the fastest on this machine whose probabilities are those of torch;
    docs/speed.md."""
