"""Order of the tests; and that a run of all of them kept the promises of docs/promises.md."""

import sys
from collections.abc import Iterator

import pytest
from support.optional import INSTALL
from support.paths import ROOT
from support.promises import broken_promises

collect_ignore = ['support']  # helpers, not tests: some run only where others are compiled

pytest_plugins = ('support.inference_fixtures',)

# What takes longest, so that no process ends long after the others; and what forks, which torch
# bears only before the first backward pass of a process.
FIRST = (
    'test_end_to_end.py',
    'test_real_images.py',
    'test_training.py',
    'test_distributed.py',
    'test_registry.py',
)
PASSED: set[str] = set()
SKIPPED: set[str] = set()  # for want of a package that `make TASKS=pose` leaves out
BROKEN = pytest.StashKey[list[str]]()


@pytest.fixture
def no_default_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """MMEngine's default scope as in a new process, whatever other tests have left."""
    from mmengine.registry import DefaultScope

    monkeypatch.setattr(DefaultScope, '_instance_dict', type(DefaultScope._instance_dict)())


@pytest.fixture
def demo_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import modules of demo/ as its scripts do; forget them then, as their names are common."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(ROOT / 'demo')
    yield
    for name in {path.stem for path in (ROOT / 'demo').glob('*.py')} - before:
        sys.modules.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in FIRST)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what passed; with several processes, the first one gets all reports."""
    name = report.nodeid.partition('[')[0]
    if report.when == 'call' and report.passed:
        PASSED.add(name)
    elif report.skipped and INSTALL in str(report.longrepr):
        SKIPPED.add(name)


def is_complete(config: pytest.Config) -> bool:
    """Whether all tests were to run, or all but the slow ones."""
    narrower = ('keyword', 'deselect', 'ignore', 'ignore_glob', 'lf', 'stepwise', 'collectonly')
    return (
        config.args_source is pytest.Config.ArgsSource.TESTPATHS
        and config.getoption('markexpr') in ('', 'not slow')
        and not any(config.getoption(name, default=None) for name in narrower)
        and not hasattr(config, 'workerinput')
    )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and is_complete(session.config):
        with_slow = session.config.getoption('markexpr') == ''
        session.config.stash[BROKEN] = broken_promises(PASSED | SKIPPED, with_slow)
        if session.config.stash[BROKEN]:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if broken := config.stash.get(BROKEN, []):
        terminalreporter.section('Promises that were not kept', red=True)
        for name in broken:
            terminalreporter.line(f'{name} keeps a promise of docs/promises.md, but did not run')
