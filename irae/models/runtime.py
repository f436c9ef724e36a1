"""Where networks run: device, threads, precision."""

from __future__ import annotations

from enum import Enum

import torch


class Device(Enum):
    """The choices of ``device=``."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(Enum):
    """Arithmetic of convolutions; losses and soft-max are always float32."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


def torch_device(choice: Device = Device.AUTO) -> torch.device:
    """The device of a choice.

    Raises:
        ValueError: If cuda is asked for and there is none.
    """
    if choice is Device.CUDA and not torch.cuda.is_available():
        raise ValueError("device=cuda, but torch sees no GPU; use device=cpu or device=auto")
    use_cuda = choice is Device.CUDA or (choice is Device.AUTO and torch.cuda.is_available())
    return torch.device("cuda" if use_cuda else "cpu")


def use_threads(threads: int) -> None:
    """Sets torch's threads. More than one only helps in one process on quiet cores; beside others it is far slower.

    Raises:
        ValueError: If threads is not positive.
    """
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    torch.set_num_threads(threads)


def autocast_dtype(device: torch.device, precision: Precision = Precision.AUTO) -> torch.dtype | None:
    """bfloat16 where the hardware multiplies it natively (1.6 to 3.5 x faster there), None for float32.

    The probe asks what the processor can do and takes no timings: a timing on a busy machine could choose differently
    from one run to the next, and the same study would then get different numbers.
    """
    if precision is Precision.FP32:
        return None
    if precision is Precision.BF16:
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    native = any(getattr(torch.cpu, probe)() for probe in probes if hasattr(torch.cpu, probe))
    return torch.bfloat16 if native else None
