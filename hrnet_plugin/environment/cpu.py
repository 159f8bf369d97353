"""The processor: its name, its cores and its vector instructions; needs nothing but Python."""

import os
import platform
from pathlib import Path

CPUINFO = Path('/proc/cpuinfo')  # of Linux
# Flags of instructions that decide how fast networks run: of x86, then of Arm
VECTOR_INSTRUCTIONS = (
    'avx2',
    'avx512f',
    'avx_vnni',
    'avx512_vnni',
    'avx512_bf16',
    'avx512_fp16',
    'amx_bf16',
    'amx_int8',
    'asimd',
    'asimddp',
    'i8mm',
    'bf16',
    'sve',
)
BFLOAT16 = frozenset({'avx512_bf16', 'amx_bf16', 'bf16'})


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """Return the name of the processor.

    Args:
        cpuinfo: File of Linux that describes it; without one, Python's own name is returned.
    """
    names = _values(cpuinfo, 'model name')
    return names[0] if names else platform.processor() or platform.machine()


def vector_instructions(cpuinfo: Path = CPUINFO) -> list[str]:
    """Return those of ``VECTOR_INSTRUCTIONS`` that the processor has; none if nothing says so.

    Args:
        cpuinfo: File of Linux that describes the processor.
    """
    lines = _values(cpuinfo, 'flags') or _values(cpuinfo, 'Features')
    flags = set(lines[0].split()) if lines else set()
    return [name for name in VECTOR_INSTRUCTIONS if name in flags]


def has_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether the processor is known to compute in bfloat16.

    Args:
        cpuinfo: File of Linux that describes the processor.
    """
    return not BFLOAT16.isdisjoint(vector_instructions(cpuinfo))


def describe_cpu() -> str:
    """Describe the processor in a line: name, cores and vector instructions."""
    instructions = ' '.join(vector_instructions()) or 'unknown vector instructions'
    return f'{cpu_name()}, {os.cpu_count()} cores, {instructions}'


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _values(cpuinfo: Path, key: str) -> list[str]:
    """Return the values of a key, one for each core."""
    if not cpuinfo.exists():
        return []
    pairs = (line.partition(':')[::2] for line in cpuinfo.read_text().splitlines())
    return [value.strip() for name, value in pairs if name.strip() == key]
