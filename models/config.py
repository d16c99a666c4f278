"""Settings of a training run: the network, how it is trained, and the same out of a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from edge.decoding import Choice, Range
from edge.profiles import PROFILES
from models.mixing import MixingConfig

Count = Annotated[int, Range(1, 1 << 31)]
Positive = Annotated[float, Range(1e-12, 1e12)]
ProfileName = Annotated[str, Choice(*PROFILES)]
Dropout = Annotated[float, Range(0.0, 0.9)]
Norm = Annotated[str, Choice("global", "cumulative", "channel")]


@dataclass(frozen=True)
class MaskConfig:
    """The causal mask network (models.net), for one microphone or, with cues, behind a beam."""

    profile: ProfileName = "assistant"
    run_every_hops: Count = 1
    cues: bool = False
    """a network for arrays, which is told the spatial cues"""
    hidden: Count = 192
    layers: Count = 2
    local_units: Annotated[int, Range(0, 4096)] = 0
    """units of the small LSTM that every band runs for itself (models.local); 0: none"""
    dropout: Dropout = 0.0
    """share of the outputs of the LSTM layers that is left out in training"""

    def problems(self) -> list[str]:
        if self.cues and (self.profile, self.run_every_hops) != ("assistant", 1):
            return ["scenes have a frame every hop of the profile assistant; expected that and run_every_hops = 1"]
        return []


@dataclass(frozen=True)
class BlstmConfig:
    """The bidirectional mask network, which hears a whole file before it says anything."""

    profile: ProfileName = "assistant"
    hidden: Count = 192
    layers: Count = 2
    dropout: Dropout = 0.0

    def problems(self) -> list[str]:
        return []


@dataclass(frozen=True)
class TasNetConfig:
    """Conv-TasNet (Luo and Mesgarani, "Conv-TasNet: Surpassing ideal time-frequency magnitude masking for speech
    separation", IEEE/ACM TASLP 2019) for one talker; the letters are those of the paper's table I.
    """

    filters: Count = 256
    """N, of the encoder and the decoder; even"""
    kernel_samples: Count = 128
    """L, of the encoder and the decoder; a multiple of the stride, twice it in the paper"""
    stride_samples: Count = 64
    bottleneck: Count = 80
    """B, channels between blocks"""
    hidden: Count = 160
    """H, channels in blocks"""
    skip: Count = 80
    """Sc, channels of the skip connections"""
    kernel: Annotated[int, Range(1, 99)] = 3
    """P, of the depthwise convolutions; odd"""
    blocks: Annotated[int, Range(1, 20)] = 6
    """X, in each repeat, dilated by 1, 2, 4 and so on"""
    repeats: Count = 2
    """R"""
    norm: Norm = "channel"
    """of the blocks: global (over channels and time, so not causal), cumulative (over channels and the past) or channel
    (over the channels of a frame)"""
    input_norm: Norm = "cumulative"
    """the same of what the encoder gives"""
    memory_frames: Annotated[int, Range(0, 1 << 24)] = 500
    """frames a cumulative norm goes back: from then on the past fades, so that a stream of hours is heard as one of
    seconds; 0: without end, as published"""
    perceptual_weight: Annotated[float, Range(0.0, 1e6)] = 0.0
    """dB of SI-SNR that a unit of the perceptual loss (models.perceived) counts as in training; 0: SI-SNR alone, as
    published"""

    @property
    def causal(self) -> bool:
        return self.norm != "global"

    @property
    def dilations(self) -> list[int]:
        """Of all blocks in order."""
        return [2**x for _ in range(self.repeats) for x in range(self.blocks)]

    @property
    def overlap(self) -> int:
        """Strides in a frame, over which neighbouring frames overlap."""
        return self.kernel_samples // self.stride_samples

    @property
    def receptive_field_samples(self) -> int:
        """Samples that one frame of the mask depends on (a cumulative norm remembers more, a global one all)."""
        return (self.kernel - 1) * sum(self.dilations) * self.stride_samples + self.kernel_samples

    def problems(self) -> list[str]:
        found = []
        if self.kernel_samples % self.stride_samples or self.overlap < 2:
            found.append(f"kernel_samples {self.kernel_samples}: expected 2, 3 or more times stride_samples")
        if self.filters % 2 or self.filters < 2 * self.kernel_samples:
            found.append(f"filters {self.filters}: expected an even number of at least twice kernel_samples")
        if self.kernel % 2 == 0:
            found.append(f"kernel {self.kernel}: expected an odd number")
        if self.memory_frames == 1:
            found.append("memory_frames 1: expected 0 (without end) or 2 and more, for one frame is what channel means")
        if (self.norm == "global") != (self.input_norm == "global"):
            found.append("norm and input_norm: expected global for both or for none, since with one it is not causal")
        return found


NetworkConfig = MaskConfig | BlstmConfig | TasNetConfig
NETWORKS: dict[str, type[MaskConfig] | type[BlstmConfig] | type[TasNetConfig]] = {
    "mask": MaskConfig,
    "blstm": BlstmConfig,
    "conv_tasnet": TasNetConfig,
}


@dataclass(frozen=True)
class TrainingConfig:
    """The same for every network."""

    learning_rate: Positive = 1.5e-3
    averaging: Annotated[float, Range(0.0, 0.999999)] = 0.999
    """share kept per step by the running mean of the weights, which is what is validated and exported"""
    warmup_steps: Count = 150
    clip_norm: Positive = 0.5
    """of the gradient"""
    plateau_patience: Annotated[int, Range(0, 1 << 31)] = 12
    """validations without improvement before the learning rate halves"""
    least_factor: Annotated[float, Range(0.0, 1.0)] = 0.05
    """share of the learning rate below which a run on a plateau ends early"""
    validate_every: Count = 400
    """steps; saves too"""
    validation_batches: Count = 6
    minutes: Positive = 60.0
    """of processor time of one process, so that a busy or stopped machine does not use them up"""
    max_steps: Count = 1_000_000
    seed: Annotated[int, Range(0, 1 << 31)] = 1
    only: str = ""
    """part of the network that is trained, by the beginning of its parameters' names (local: the correction by bands);
    the rest stays as it began; empty: all of it"""


@dataclass(frozen=True)
class TrainConfig(TrainingConfig):
    network: NetworkConfig = field(default_factory=MaskConfig)
    mixing: MixingConfig = field(default_factory=MixingConfig)


def kind_of(network: NetworkConfig) -> str:
    return next(kind for kind, made in NETWORKS.items() if type(network) is made)


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """Plain values, as a checkpoint keeps them."""
    made = dataclasses.asdict(config)
    made["network"]["kind"] = kind_of(config.network)
    return made


def config_from_dict(data: Mapping[str, Any]) -> TrainConfig:
    """The settings that a checkpoint holds, also one from the time when there were mask networks only."""
    rest = dict(data)
    if "network" not in rest:
        rest["network"] = {f.name: rest.pop(f.name) for f in dataclasses.fields(MaskConfig) if f.name in rest}
    network = dict(rest.pop("network"))
    made = NETWORKS[network.pop("kind", "mask")](**network)
    return TrainConfig(network=made, mixing=MixingConfig(**rest.pop("mixing")), **rest)
