"""What /proc/cpuinfo says, and what is said without it."""

import platform
from pathlib import Path

import pytest

from hrnet_plugin.environment.cpu import cpu_name, has_bfloat16, usable_cores, vector_instructions

X86 = """\
processor\t: 0
model name\t: Some CPU @ 2.0GHz
flags\t\t: fpu avx2 avx512f {more} amx_tile

processor\t: 1
model name\t: Some CPU @ 2.0GHz
flags\t\t: fpu avx2 avx512f {more} amx_tile
"""
ARM = 'processor\t: 0\nFeatures\t: fp asimd i8mm bf16\n'


@pytest.mark.parametrize(
    ('content', 'instructions', 'bfloat16'),
    [
        (X86.format(more='amx_bf16'), ['avx2', 'avx512f', 'amx_bf16'], True),
        (X86.format(more='avx512_vnni'), ['avx2', 'avx512f', 'avx512_vnni'], False),
        (ARM, ['asimd', 'i8mm', 'bf16'], True),
    ],
)
def test_instructions(
    tmp_path: Path, content: str, instructions: list[str], bfloat16: bool
) -> None:
    (tmp_path / 'cpuinfo').write_text(content)
    assert vector_instructions(tmp_path / 'cpuinfo') == instructions
    assert has_bfloat16(tmp_path / 'cpuinfo') == bfloat16


def test_name(tmp_path: Path) -> None:
    (tmp_path / 'cpuinfo').write_text(X86)
    assert cpu_name(tmp_path / 'cpuinfo') == 'Some CPU @ 2.0GHz'


def test_a_system_without_the_file(tmp_path: Path) -> None:
    assert cpu_name(tmp_path / 'none') in (platform.processor(), platform.machine())
    assert vector_instructions(tmp_path / 'none') == []
    assert not has_bfloat16(tmp_path / 'none')


def test_cores() -> None:
    assert usable_cores() >= 1
