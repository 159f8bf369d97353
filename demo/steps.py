"""Steps that are each done once, with their results and times in a folder."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from commands import Commands
from pictures import count_detections


class Step(NamedTuple):
    """A step of a demo.

    Attributes:
        title: What is printed when it begins.
        run: Does it; returns its result, as JSON has it.
        minutes: How long it takes on some machine. Together with how long others take here, this
            tells how much is left.
    """

    title: str
    run: Callable[[], Any]
    minutes: float


class Demo:
    """Steps whose results are kept, so that an interrupted run resumes where it stopped.

    Args:
        root: A folder; it is made if it is not there.
        settings: What the results depend on, by the name that errors call it.

    Raises:
        SystemExit: The folder was made with other settings.
    """

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        self.root = root
        self.commands = Commands(root)
        self.state_file = root / 'state.json'
        self.state: dict[str, Any] = dict(settings={}, results={}, seconds={})
        if self.state_file.exists():
            self.state = json.loads(self.state_file.read_text())
        known = self.state['settings']
        for name, value in settings.items():
            if known.setdefault(name, value) != value:
                raise SystemExit(
                    f'{root} was made with other {name}; delete it, or name another folder '
                    'with --work-dir'
                )

    @property
    def steps(self) -> dict[str, Step]:
        """The steps by name, in order."""
        raise NotImplementedError

    def summary(self) -> str:
        """Return all measurements as Markdown."""
        raise NotImplementedError

    def run(self) -> None:
        """Run the steps that are not done yet, and print a summary."""
        self.save()
        for number, (name, step) in enumerate(self.steps.items(), 1):
            done = name in self.state['results']
            ending = 'done before' if done else f'about {self.minutes_left():.0f} minutes left'
            print(f'[{number}/{len(self.steps)}] {step.title}: {ending}', flush=True)
            if not done:
                self.commands.minutes_after = self.minutes_left(without=name)
                self.run_step(name, step)
        table = self.summary()
        (self.root / 'summary.md').write_text(table)
        print(table, end='')

    def minutes_left(self, without: str | None = None) -> float:
        """Estimate how long the steps take that are not done, all but one if it is named."""
        expected = {name: step.minutes for name, step in self.steps.items()}
        done = self.state['results'].keys() & expected.keys()
        slower = 1.0
        if done:
            taken = sum(self.state['seconds'][name] for name in done) / 60
            slower = taken / sum(expected[name] for name in done)
        left = (m for name, m in expected.items() if name not in done and name != without)
        return slower * sum(left)

    def run_step(self, name: str, step: Step) -> None:
        """Run one step, and note its result and its time."""
        start, before = time.perf_counter(), self.state['seconds'].get(name, 0)
        try:
            self.state['results'][name] = step.run()
        finally:  # the time of an interrupted step counts, too
            self.state['seconds'][name] = before + time.perf_counter() - start
            self.save()

    def save(self) -> None:
        """Write the state atomically."""
        new = self.state_file.with_suffix('.new')
        new.write_text(json.dumps(self.state))
        new.replace(self.state_file)

    def synthesise(self, images: int, *options: str) -> None:
        """Write a dataset of so many images."""
        arguments = ['data', '--images', images, '--seed', 1, *options]
        self.commands.call('synthesise', 'hrnet-plugin', 'synth', *arguments)

    def test_person_detector(
        self, config: Path, name: str, options: Sequence[str] = ()
    ) -> dict[str, float]:
        """Run ``mim test`` on a detector, and keep what it detects; return its metrics."""
        prefix = f'test_evaluator.outfile_prefix={name}/detections'
        return self.commands.test('mmdet', config, name, [*options, prefix])

    def count_held_out(self, name: str) -> Mapping[str, int]:
        """Return how many people a tested detector finds, misses and invents."""
        return count_detections(
            self.root / name / 'detections.bbox.json',
            self.root / 'data/annotations/person_keypoints_val2017.json',
        )


def epoch_options(epochs: int | None) -> list[str]:
    """Return changes to a config of configs/demo for so many epochs; none for None."""
    if epochs is None:
        return []
    return [f'train_cfg.max_epochs={epochs}', f'param_scheduler.1.end={epochs}']


def rows(*table: list[str]) -> list[str]:
    """Return the lines of a table in Markdown, the first of which is its head."""
    head, *body = table
    return ['| ' + ' | '.join(row) + ' |' for row in (head, ['---'] * len(head), *body)]
