"""Several processes train one model, each on its share of every batch.

All processes hold the same weights and draw the same random numbers. Each computes the gradient of its rows, the
gradients are averaged, and every process takes the same step. So the result is that of one process with the whole
batch, but for rounding, and there is nothing that the number of processes changes.

The gradients travel as one flat vector, together with the few numbers that all must agree on: one exchange a step.
`DistributedDataParallel` would begin to send while the backward pass still runs; it wants one `forward` that returns
everything, which a loss that carries states from batch to batch does not have.

`torchrun` starts the processes and says in their environment which is which.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

from isogloss.errors import TrainingError


@dataclass(frozen=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    """Which of them this is, from 0."""
    world: int = 1
    """How many there are."""
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - immutable
    """Where this process has its tensors."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and speaks to people."""
        return self.rank == 0

    def share(self, size: int) -> slice:
        """Return which of `size` rows are this process's own."""
        assert size % self.world == 0, f"{size} rows cannot be shared by {self.world} processes"
        own = size // self.world
        return slice(self.rank * own, (self.rank + 1) * own)

    def check_rows(self, rows: int) -> None:
        """Refuse a number of rows that cannot be shared evenly.

        Raises:
            TrainingError: It is no multiple of the number of processes.
        """
        if rows % self.world:
            raise TrainingError(
                f"rows: found {rows}, to be shared by {self.world} processes. Expected a multiple of "
                f"{self.world}. Choose such a number of rows, or of processes."
            )

    def sums(self, numbers: Sequence[float]) -> list[float]:
        """Return the sum over processes of each number."""
        if self.world == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        with _others_alive():
            distributed.all_reduce(total)
        return total.tolist()

    def sum_of(self, value: Tensor) -> Tensor:
        """Return the sum over processes of a tensor, on the device where it is."""
        if self.world == 1:
            return value
        total = value.to(self.device, copy=True)
        with _others_alive():
            distributed.all_reduce(total)
        return total.to(value.device)

    def average_gradients(self, parameters: Sequence[nn.Parameter], numbers: Sequence[float]) -> list[float]:
        """Replace each gradient by its mean over processes; return the sums of some numbers, in the same exchange.

        Args:
            parameters: In the same order in all processes. One without a gradient gets one.
            numbers: Sent in the gradients' precision.
        """
        if self.world == 1:
            return list(numbers)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        extra = gradients[0].new_tensor(numbers)
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), extra])
        with _others_alive():
            distributed.all_reduce(flat)
        sums = flat[len(flat) - len(extra) :].tolist()
        flat /= self.world
        pieces = flat[: len(flat) - len(extra)].split([gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))
        return sums

    def dropout(self, values: Tensor, share: float, *, dim: int) -> Tensor:
        """Drop values of this process's rows as one process would of the whole batch: all draw for all rows.

        Args:
            values: This process's share.
            share: Of the values that become zero; the others are raised in proportion.
            dim: Which dimension the rows are.
        """
        values = values.contiguous()  # a mask is drawn in the order of memory
        if self.world == 1 or not share:
            return functional.dropout(values, share)
        shape = list(values.shape)
        shape[dim] *= self.world
        mask = functional.dropout(values.new_ones(shape), share)
        return values * mask.narrow(dim, self.rank * values.shape[dim], values.shape[dim])

    def gather(self, value: Tensor, *, dim: int) -> Tensor:
        """Put the shares of all processes side by side; every process gets the whole."""
        if self.world == 1:
            return value
        parts = [torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(self.world)]
        with _others_alive():
            distributed.all_gather(parts, value.contiguous())
        return torch.cat(parts, dim=dim)

    def copy_from_first(self, values: Iterable[Tensor]) -> None:
        """Overwrite tensors by those of the first process."""
        if self.world > 1:
            with _others_alive():
                for value in values:
                    distributed.broadcast(value, src=0)

    def wait_for_all(self) -> None:
        """Return when all processes have come here."""
        self.sums([0.0])


ALONE = Processes()
"""The usual case."""


def started_together() -> int:
    """Return how many processes the environment says there are."""
    return int(os.environ.get("WORLD_SIZE") or 1)


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Within the block, be one of the processes that `torchrun` started; alone if it did not.

    Args:
        device: Where tensors are. Of several accelerators, each process of a machine takes its own.

    Raises:
        TrainingError: The others cannot be reached.
    """
    if started_together() == 1:
        yield Processes(device=device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    with _others_alive():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    yield Processes(rank=distributed.get_rank(), world=distributed.get_world_size(), device=device)
    distributed.destroy_process_group()  # not after an error: it could wait for processes that have ended


@contextmanager
def _others_alive() -> Iterator[None]:
    """Say in our words that another process has ended."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        rank = ""
        with suppress(RuntimeError, ValueError):
            rank = f" (process {distributed.get_rank()})"
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"Training by {started_together()} processes{rank}: the others cannot be reached ({reason}). Expected all "
            f"to run to the end. See what the others say; the same command goes on from the last checkpoint."
        ) from error
