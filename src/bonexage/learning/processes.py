"""One process or many: who takes part in a training, what they do together, how they start and end."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._C._distributed_c10d import FileStore, PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from bonexage.errors import BonexageError, TrainingStopped, WrongUse
from bonexage.learning.orphans import end_with_parent

LONGEST_STEP = timedelta(minutes=30)
LONGEST_WAIT = timedelta(days=7)  # for films to be read, by one process for all
SECONDS_FOR_REASONS = 5.0
SECONDS_TO_END = 10.0
BUCKET_NUMBERS = 16 * 2**20
_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")

CPU = torch.device("cpu")

Made = TypeVar("Made")
_Told: TypeAlias = tuple[float, BonexageError, str]  # when, what, and its traceback


class PeerLost(TrainingStopped):
    """A process that could not go on because another one had ended."""

    def __init__(self) -> None:
        super().__init__(
            "another process of this run has ended",
            remedy="Its own message says why; the last checkpoint is kept: go on from it with --resume",
        )


@dataclass(frozen=True)
class Group:
    """The processes of a training, as one of them sees them; by default it is alone.

    Attributes:
        rank: its number, from 0; the process 0 writes and speaks for all.
        size: how many there are.
        device: where it computes.
        waiting: what they wait for one another with where it may take long; None where it is alone.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU
    waiting: dist.ProcessGroup | None = None

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def cut(self, members: NDArray[np.int64]) -> NDArray[np.int64]:
        """Its share of `members`: each is in one share, and shares differ by one at most."""
        return np.array_split(members, self.size)[self.rank]

    def add_up(self, numbers: Tensor) -> Tensor:
        """Replace `numbers` by their sum over the processes; all of them get it, bit for bit the same."""
        return numbers if self.size == 1 else add_up_over_all(numbers)

    def largest(self, number: float) -> float:
        """The largest of the processes' numbers."""
        if self.size == 1:
            return number
        numbers = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        numbers[self.rank] = number
        return float(self.add_up(numbers).max())

    def add_up_gradients(self, network: nn.Module) -> None:
        """Replace every gradient of `network` by its sum over the processes, many in one message."""
        if self.size == 1:
            return
        bucket: list[Tensor] = []
        for parameter in network.parameters():
            if parameter.grad is None:
                continue
            bucket.append(parameter.grad)
            if sum(gradient.numel() for gradient in bucket) >= BUCKET_NUMBERS:
                self._add_up_bucket(bucket)
                bucket = []
        if bucket:
            self._add_up_bucket(bucket)

    def _add_up_bucket(self, bucket: Sequence[Tensor]) -> None:
        sums = self.add_up(torch.cat([gradient.flatten() for gradient in bucket]))
        at = 0
        for gradient in bucket:
            gradient.copy_(sums[at : at + gradient.numel()].view(gradient.shape))
            at += gradient.numel()

    def share(self, make: Callable[[], Made]) -> Made:
        """What `make` returns in process 0, in all of them; the others wait, however long it takes."""
        if self.size == 1:
            return make()
        held = [make() if self.leads else None]
        with _together():
            dist.broadcast_object_list(held, src=0, group=self.waiting, device=torch.device("cpu"))
        made: Made = held[0]  # type: ignore[assignment]
        return made


def add_up_over_all(numbers: Tensor) -> Tensor:
    """As `Group.add_up`, for code that has no group at hand; there must be several processes."""
    with _together():
        dist.all_reduce(numbers)
    return numbers


def leads() -> bool:
    """Whether this process speaks for a run: it is alone, or torchrun's first."""
    return int(os.environ.get("RANK", "0")) == 0


def was_restarted() -> bool:
    """Whether torchrun started this process again after another had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def number_to_start(processes: int) -> int:
    """How many processes to start here: `processes`, or with 0 one for each GPU that is visible.

    1 means that none is started: this process works alone, or as one of those that torchrun started.

    Raises:
        WrongUse: torchrun has started processes already, or there are fewer GPUs than processes.
    """
    if _by_torchrun():
        if processes:
            raise WrongUse(
                "torchrun has started the processes already", remedy="Leave out --processes, or torchrun"
            )
        return 1
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and processes > gpus:
        raise WrongUse(
            f"{processes} processes want a GPU each, and {gpus} are visible",
            remedy="Ask for fewer with --processes, or leave it out to use all",
        )
    return processes or max(1, gpus)


@contextmanager
def this_process() -> Iterator[Group]:
    """This process as a group of its own, or as one of those that torchrun started."""
    if not _by_torchrun():
        yield Group(device=_device(0))
        return
    rank, size, local = (int(os.environ[name]) for name in _TORCHRUN[:3])
    if size == 1:
        yield Group(device=_device(local))
        return
    with _together():
        place, _, _ = next(rendezvous("env://", rank, size, timeout=LONGEST_STEP))
    # torchrun may use the same store again when it starts the processes anew: what they left is not theirs.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    with _joined(rank, size, local, PrefixStore(f"attempt-{attempt}", place)) as group:
        yield group


def start(work: Callable[[Group], None], number: int) -> None:
    """Do `work` in so many processes started here, each on a GPU of its own, or all on the CPU.

    Returns when all are done. Where one fails, the others are ended within seconds, and its error is raised.

    Raises:
        BonexageError: what the first to fail raised.
        TrainingStopped: one was killed, or failed with another kind of error.
    """
    context = get_context("spawn")
    members: list[tuple[BaseProcess, connection.Connection]] = []
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        try:
            for rank in range(number):
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_member, args=(work, rank, number, meeting, theirs))
                process.start()
                theirs.close()
                members.append((process, ours))
            _await(members)
        finally:
            _end([process for process, _ in members])


def _by_torchrun() -> bool:
    return all(name in os.environ for name in _TORCHRUN)


def _device(number: int) -> torch.device:
    """The visible GPU of this number, or the CPU where there is none at all."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if number >= torch.cuda.device_count():
        raise WrongUse(
            f"process {number + 1} of this machine has no GPU, for {torch.cuda.device_count()} are visible",
            remedy="Start one process for each GPU",
        )
    return torch.device("cuda", number)


@contextmanager
def _joined(rank: int, size: int, local: int, store: Store) -> Iterator[Group]:
    """Meet the other processes. After an error there is no leave-taking: the others may be gone."""
    device = _device(local)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    with _together():
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=LONGEST_STEP)
        waiting = dist.new_group(backend="gloo", timeout=LONGEST_WAIT)
    yield Group(rank, size, device, cast("dist.ProcessGroup", waiting))
    dist.destroy_process_group()


@contextmanager
def _together() -> Iterator[None]:
    """What gloo and NCCL raise where another process is gone becomes `PeerLost`."""
    try:
        yield
    except RuntimeError as problem:
        raise PeerLost from problem


def _member(
    work: Callable[[Group], None], rank: int, size: int, meeting: str, tell: connection.Connection
) -> None:
    """What a started process does; its error goes to the one that started it."""
    end_with_parent()
    try:
        if not torch.cuda.is_available():
            torch.set_num_threads(max(1, torch.get_num_threads() // size))
        with _joined(rank, size, rank, FileStore(meeting, size)) as group:
            work(group)
    except BaseException as problem:
        tell.send((time.time(), _told(problem, rank, size), traceback.format_exc()[-20_000:]))
        os._exit(1)  # an ordinary exit would wait for the others


def _told(problem: BaseException, rank: int, size: int) -> BonexageError:
    if isinstance(problem, BonexageError):
        return problem
    return TrainingStopped(
        f"process {rank + 1} of {size} failed ({type(problem).__name__}: {problem})",
        remedy="Mend the cause, then go on from the last checkpoint with --resume",
    )


def _await(members: Sequence[tuple[BaseProcess, connection.Connection]]) -> None:
    """Wait until all have ended well, or raise the error that came first.

    What they tell is taken as it comes: a pipe holds little, and who fills it does not end.
    """
    running = {process.sentinel: process for process, _ in members}
    silent = {pipe for _, pipe in members}
    told: list[_Told] = []
    until: float | None = None
    while running and (until is None or time.monotonic() < until):
        left = None if until is None else max(0.0, until - time.monotonic())
        for ready in connection.wait([*running, *silent], left):
            if ready in silent:
                silent.remove(ready)
                told += _taken(ready)
                continue
            process = running.pop(cast("int", ready))
            process.join()
            if process.exitcode and until is None:
                until = time.monotonic() + SECONDS_FOR_REASONS
    if until is None:
        return
    killed = [n for n, (process, _) in enumerate(members) if (process.exitcode or 0) < 0]
    if killed:
        signal = -(members[killed[0]][0].exitcode or 0)
        raise TrainingStopped(
            f"process {killed[0] + 1} of {len(members)} was killed (signal {signal})",
            remedy="If it was for want of memory, use a smaller batch, or accumulate; go on with --resume",
        )
    for pipe in silent:
        told += _taken(pipe) if pipe.poll() else []
    causes = [each for each in told if not isinstance(each[1], PeerLost)]
    if not causes:
        raise TrainingStopped(
            f"one of {len(members)} processes ended before it could say why",
            remedy="Look above for what it printed; a script that starts processes needs "
            "`if __name__ == '__main__':`",
        )
    _, error, where = min(causes, key=lambda each: each[0])
    raise error from RuntimeError(where)


def _taken(pipe: connection.Connection) -> list[_Told]:
    """What a process told; nothing where it has ended without a word."""
    try:
        return [pipe.recv()]
    except EOFError:
        return []


def _end(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(SECONDS_TO_END)
        if process.is_alive():
            process.kill()
            process.join()
