"""Where a model is trained, and with how many digits its matrix products are made."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from isogloss.errors import RecipeError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "float32", "bfloat16")


def choose_device(name: str) -> torch.device:
    """Return the device of a name: ``cpu``, ``cuda``, or ``auto``, an accelerator if there is one.

    Raises:
        RecipeError: There is no such device.
    """
    if name not in DEVICES:
        raise RecipeError(f"device: found {name!r}. Expected one of {', '.join(DEVICES)}. Choose one.")
    if name == "cuda" and not torch.cuda.is_available():
        raise RecipeError("device: found 'cuda', and PyTorch sees no such device. Expected one. Choose cpu or auto.")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def choose_precision(name: str, device: torch.device) -> str:
    """Return ``float32`` or ``bfloat16``; ``auto`` is bfloat16 on an accelerator that has it, and float32 elsewhere.

    Raises:
        RecipeError: There is no such precision.
    """
    if name not in PRECISIONS:
        raise RecipeError(f"precision: found {name!r}. Expected one of {', '.join(PRECISIONS)}. Choose one.")
    if name != "auto":
        return name
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device makes products of bfloat16 in hardware, and so faster than those of float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # PyTorch's public functions tell of emulated support as well.
    known = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(asked() for asked in known if asked is not None)


def fastest_precision(name: str, device: torch.device) -> str:
    """Return ``float32`` or ``bfloat16``; ``auto`` is bfloat16 wherever it is multiplied in hardware, CPUs included."""
    if name == "auto":
        return "bfloat16" if multiplies_bfloat16(device) else "float32"
    return choose_precision(name, device)


@contextmanager
def matrix_products_in(precision: str, device: torch.device) -> Iterator[None]:
    """Within the block, let matrix products on a device be made in a precision; weights and sums stay float32."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        yield
