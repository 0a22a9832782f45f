"""Save a training run and go on from it exactly.

A checkpoint is one safetensors file, `step-00001200.safetensors`: tensors under `model/`, `best/`,
`optimiser/`, `batches/`, `carried/` and `generator`, and everything that is not a tensor as JSON in the
file's metadata, with a SHA-256 over both. It is written under a temporary name and renamed, and the two
newest are kept. One that is damaged is named in the log and the one before it is used. Nothing is unpickled.

Where several processes train together, the first one writes, and all read; or each keeps its own, where each holds
another part of what is trained, and all go on from the newest step that every one of them has.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from isogloss.artifacts import write_atomically, writing_to
from isogloss.compute.processes import ALONE, Processes
from isogloss.drafts import remove_drafts

if TYPE_CHECKING:
    from isogloss.compute.loop import Progress, Resumable

log = logging.getLogger(__name__)

KEPT = 2
"""How many checkpoints are kept: the newest, and one to fall back on."""


@dataclass(frozen=True)
class TrainingState:
    """Everything that the next step of a training run depends on."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    batches: "Resumable"
    carried: "Resumable | None"
    progress: "Progress"


class Checkpoints:
    """The checkpoints of one training run, in a folder of their own."""

    def __init__(
        self, folder: Path, *, fingerprint: str = "", processes: Processes = ALONE, apart: bool = False
    ) -> None:
        """Look after a folder.

        Args:
            folder: Made when the first checkpoint is saved.
            fingerprint: Names the data and settings of the run. A checkpoint with another one is not resumed.
            processes: Those that train together; all call the same methods.
            apart: Each of them writes and reads a folder of its own, this one.
        """
        self.folder = Path(folder)
        self.fingerprint = fingerprint
        self.processes = processes
        self.apart = apart

    def save(self, state: TrainingState) -> Path:
        """Write a checkpoint and remove all but the newest two of this run; return when it is on the disk."""
        path = self.folder / f"step-{state.progress.step:08d}.safetensors"
        parts = {
            "batches": state.batches.state_dict(),
            "carried": state.carried.state_dict() if state.carried is not None else {},  # gathered from all
        }
        if self.apart or self.processes.first:
            self._write(path, state, parts)
        self.processes.wait_for_all()
        return path

    def _write(self, path: Path, state: TrainingState, parts: Mapping[str, Mapping[str, Any]]) -> None:
        tensors, values = _flatten(state, parts)
        values["fingerprint"] = self.fingerprint
        text = json.dumps(values)
        metadata = {"state": text, "sha256": _digest(tensors, text)}
        with writing_to(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_safetensors(tensors, metadata))
        for old in self._own_newest_first()[KEPT:]:
            old.unlink(missing_ok=True)

    def resume(self, state: TrainingState) -> bool:
        """Bring the run to its newest sound checkpoint; return whether there was one."""
        for path, tensors, values in self._common(log.warning):
            _restore(state, tensors, values)
            log.info("resumed from %s", path)
            return True
        return False

    def any(self) -> bool:
        """Whether there is a checkpoint that `resume` would use."""
        return any(True for _ in self._common(log.debug))

    def remove(self, *, others: bool = True) -> None:
        """Delete all checkpoints, once the run is complete.

        Args:
            others: Those of runs with other data or settings, too.
        """
        for path in self._newest_first() if others else self._own_newest_first():
            path.unlink(missing_ok=True)
        remove_drafts(self.folder)
        if self.folder.is_dir() and not os.listdir(self.folder):
            self.folder.rmdir()

    def _common(self, complain: Callable[..., None]) -> Iterator[tuple[Path, dict[str, Tensor], dict[str, Any]]]:
        """Read the sound checkpoints of this run, newest first; those of steps that every process has one of."""
        if not self.apart or self.processes.world == 1:
            yield from self._usable(complain)
            return
        found = {values["step"]: (path, tensors, values) for path, tensors, values in self._usable(complain)}
        steps = torch.tensor([*found, *[0] * KEPT][:KEPT], device=self.processes.device)
        everywhere = self.processes.gather(steps, dim=0).tolist()
        for step in sorted(found, reverse=True):
            if everywhere.count(step) == self.processes.world:
                yield found[step]

    def _usable(self, complain: Callable[..., None]) -> Iterator[tuple[Path, dict[str, Tensor], dict[str, Any]]]:
        """Read the sound checkpoints of this run, newest first; complain about others."""
        for path in self._newest_first():
            try:
                tensors, values = _read(path)
            except (SafetensorError, ValueError, KeyError, OSError) as error:
                complain("%s is damaged (%s); trying the checkpoint before it.", path, error)
                continue
            if values["fingerprint"] != self.fingerprint:
                complain("%s belongs to a run with other data or settings; not used.", path)
                continue
            yield path, tensors, values

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors"), reverse=True)

    def _own_newest_first(self) -> list[Path]:
        """Leave out those of other runs, and what is so damaged that nobody can tell."""
        return [path for path in self._newest_first() if _fingerprint_of(path) == self.fingerprint]


def _flatten(state: TrainingState, parts: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split a run's state into tensors by name and values that JSON can say."""
    tensors: dict[str, Tensor] = {"generator": torch.get_rng_state()}
    if (device := _accelerator_of(state.model)) is not None:
        tensors["accelerator_generator"] = torch.cuda.get_rng_state(device)
    tensors |= {f"model/{name}": value for name, value in state.model.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in state.progress.best_weights.items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": value for name, value in moments.items()}
    values: dict[str, Any] = {
        "step": state.progress.step,
        "best": state.progress.best,
        "evaluations_since_best": state.progress.evaluations_since_best,
        "seconds": state.progress.seconds,
    }
    for part, content in parts.items():
        values[part] = {}
        for key, value in content.items():
            if isinstance(value, Tensor):
                tensors[f"{part}/{key}"] = value
            else:
                values[part][key] = value
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, values


def _restore(state: TrainingState, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Put a flattened state back into the objects it came from."""

    def under(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    state.model.load_state_dict(under("model/"))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in under("optimiser/").items():
        index, _, moment = name.partition("/")
        moments.setdefault(int(index), {})[moment] = value
    groups = state.optimiser.state_dict()["param_groups"]
    state.optimiser.load_state_dict({"state": moments, "param_groups": groups})
    state.progress.step = values["step"]
    state.progress.best = values["best"]
    state.progress.best_weights = under("best/")
    state.progress.evaluations_since_best = values["evaluations_since_best"]
    state.progress.seconds = values["seconds"]
    for name, part in (("batches", state.batches), ("carried", state.carried)):
        if part is not None:
            part.load_state_dict(values[name] | under(f"{name}/"))
    torch.set_rng_state(tensors["generator"])
    if (device := _accelerator_of(state.model)) is not None and "accelerator_generator" in tensors:
        torch.cuda.set_rng_state(tensors["accelerator_generator"], device)


def _accelerator_of(model: nn.Module) -> torch.device | None:
    """Return the accelerator that a model is on, whose generator draws its dropout; None on a CPU."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return device if device.type == "cuda" else None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint; raise ValueError if it is not what was written."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _digest(tensors, metadata["state"]) != metadata["sha256"]:
        raise ValueError("its checksum does not match")
    return tensors, json.loads(metadata["state"])


def _fingerprint_of(path: Path) -> str | None:
    """Return which run a checkpoint says it is of, without reading its tensors; None if it cannot say."""
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["state"])["fingerprint"]
    except (SafetensorError, ValueError, KeyError, TypeError, OSError):
        return None


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    """Return a SHA-256 over a text and the names, shapes and bytes of all tensors."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name].cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
