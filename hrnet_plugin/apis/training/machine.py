"""What a training runs on: device, memory, cores, processes, precision."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.device import get_device

from ...environment.cpu import usable_cores
from ...models.families import find_arch
from ...optim.autocast import computes_in_bfloat16
from .derive import Size

# Limit of the memory of a container
CGROUP_LIMITS = (
    Path('/sys/fs/cgroup/memory.max'),
    Path('/sys/fs/cgroup/memory/memory.limit_in_bytes'),
)


@dataclass(frozen=True)
class Machine:
    """What a training runs on.

    Attributes:
        device: ``'cpu'`` or ``'cuda'``, or another type of device.
        memory: Bytes of each process: of its GPU, or a share of the machine's.
        cores: Cores that this process may use.
        processes: Number of processes of the run, on all machines.
        local_processes: Number of processes on this machine.
        amp: Type of mixed precision: ``'bfloat16'``, ``'float16'``, or None if it would not pay.
    """

    device: str
    memory: int
    cores: int
    processes: int
    local_processes: int
    amp: str | None


def inspect_machine(environ: Mapping[str, str] = os.environ) -> Machine:
    """Look at this machine, and at what the launcher says about the processes of the run.

    Args:
        environ: Environment variables; ``WORLD_SIZE`` and ``LOCAL_WORLD_SIZE`` are torchrun's.
    """
    device = get_device()
    local = int(environ.get('LOCAL_WORLD_SIZE', 1))
    if device == 'cuda':
        memory = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    else:
        memory = main_memory() // local
    amp = 'bfloat16' if computes_in_bfloat16(device) else 'float16' if device == 'cuda' else None
    return Machine(device, memory, usable_cores(), int(environ.get('WORLD_SIZE', 1)), local, amp)


def main_memory() -> int:
    """Return the bytes of main memory that this machine or container has."""
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    for path in CGROUP_LIMITS:
        if path.is_file() and (text := path.read_text().strip()).isdecimal():
            memory = min(memory, int(text))
    return memory


def bytes_per_instance(arch: str, size: Size) -> int:
    """Estimate the memory that an instance takes in training.

    A forward pass without data counts what the backbone keeps for its gradients.

    Args:
        arch: Key of ``ARCH_NAMES``.
        size: Width and height of the input.

    Returns:
        Bytes, in float32. For HRNet-W32 and 192x256, 144 MiB.
    """
    family, name = find_arch(arch)
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage
        return tensor

    with torch.device('meta'):
        backbone = family.build(name).train()
        image = torch.zeros(1, 3, size[1], size[0])
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        backbone(image)
    return sum(storage.nbytes() for storage in kept.values())
