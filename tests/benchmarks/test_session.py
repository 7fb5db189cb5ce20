from __future__ import annotations

import dataclasses
import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from synthetic import FakeDevice, a_launch, an_arm

from edge_squeeze.benchmarks import session as sessions
from edge_squeeze.benchmarks.launch_records import MEMORY, TIMED, Launch, Task
from edge_squeeze.benchmarks.options import PROFILES
from edge_squeeze.benchmarks.session import Journal, Session
from edge_squeeze.errors import UsageError
from edge_squeeze.files import journal as journal_files
from edge_squeeze.reporting import Silent

ARMS = [an_arm("a"), an_arm("b"), an_arm("c")]
QUICK = PROFILES["quick"]


def run(device: FakeDevice, path: Path, session: Session, *, fresh: bool = False) -> tuple[list[Launch], Journal]:
    with Journal(path, fresh=fresh) as journal:
        return session.run(device, journal, Silent()), journal


def test_every_round_has_every_arm_once_in_a_random_order(tmp_path: Path) -> None:
    device = FakeDevice({"a": 2.0, "b": 3.0, "c": 4.0}, noise=0.3)
    session = Session(ARMS, QUICK, seed=1)
    launches, _ = run(device, tmp_path / "j.jsonl", session)
    timed = [launch for launch in launches if launch.kind == TIMED]
    assert Counter((launch.round, launch.arm) for launch in timed) == Counter(
        (at, arm.id) for at in range(6) for arm in ARMS
    )
    orders = {tuple(session.order[at : at + 3]) for at in range(0, 18, 3)}
    assert len(orders) > 1
    assert [launch.arm for launch in timed] == session.order[:18]


def test_the_order_depends_on_the_seed_alone(tmp_path: Path) -> None:
    orders = []
    for at, seed in enumerate((1, 1, 2)):
        session = Session(ARMS, QUICK, seed)
        run(FakeDevice({"a": 2.0, "b": 3.0, "c": 4.0}), tmp_path / f"{at}.jsonl", session)
        orders.append(session.order)
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(("noise", "rounds"), [(0.0001, 3), (0.3, 6)])
def test_rounds_are_added_until_all_are_precise_or_the_profile_ends(tmp_path: Path, noise: float, rounds: int) -> None:
    launches, _ = run(FakeDevice({"a": 2.0}, noise), tmp_path / "j.jsonl", Session(ARMS[:1], QUICK, 0))
    assert sum(launch.kind == TIMED for launch in launches) == rounds
    assert sum(launch.kind == MEMORY for launch in launches) == 1


def test_an_arm_that_fails_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    device = FakeDevice({"a": 2.0, "b": 3.0, "c": 4.0}, noise=0.0)
    device.broken = {"b"}
    session = Session(ARMS, QUICK, 0)
    launches, _ = run(device, tmp_path / "j.jsonl", session)
    assert session.failures == {"b litert 1": "b is broken"}
    assert {launch.arm for launch in launches} == {"a litert 1", "c litert 1"}
    assert sum("b." in task.model for task in device.tasks) == 1, "it is not tried again"


def test_an_interrupted_session_keeps_every_launch_and_goes_on(tmp_path: Path) -> None:
    path, first = tmp_path / "j.jsonl", FakeDevice({"a": 2.0, "b": 3.0, "c": 4.0}, noise=0.0)
    first.interrupt_after = 4
    with pytest.raises(KeyboardInterrupt):
        run(first, path, Session(ARMS, QUICK, 0))
    second = FakeDevice({"a": 2.0, "b": 3.0, "c": 4.0}, noise=0.0, seed=1)
    launches, journal = run(second, path, Session(ARMS, QUICK, 0))
    assert len(second.tasks) == 3 * 3 + 3 - 4
    assert Counter(launch.arm for launch in launches if launch.kind == TIMED) == Counter({arm.id: 3 for arm in ARMS})
    assert journal.resumed_after_s is not None
    journal.finish()
    assert not path.exists()


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_a_line_that_a_kill_cut_off_costs_that_launch_alone(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        for at in range(3):
            journal.append(a_launch([1.0, 2.0], at))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Journal(path) as journal:
        assert [launch.round for launch in journal.launches] == [0, 1]
        journal.append(a_launch([1.0, 2.0], 2))
    assert path.read_bytes() == whole


def test_a_finished_launch_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.append(a_launch([1.0, 2.0], 3))
        assert json.loads(path.read_text())["round"] == 3


def test_a_fresh_session_forgets(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.append(a_launch([1.0]))
    with Journal(path, fresh=True) as journal:
        assert not journal.launches
        assert journal.resumed_after_s is None


def test_a_session_of_yesterday_is_not_gone_on_with_and_others_of_then_are_removed(tmp_path: Path) -> None:
    path, stale, young = tmp_path / "j.jsonl", tmp_path / "other.jsonl", tmp_path / "young.jsonl"
    with Journal(path) as journal:
        journal.append(a_launch([1.0]))
    stale.write_text("")
    young.write_text("")
    yesterday = time.time() - journal_files.OLDEST_S - 60
    for file in (path, stale):
        os.utime(file, (yesterday, yesterday))
    with Journal(path) as journal:
        assert not journal.launches
    assert not stale.exists()
    assert young.exists()


def test_the_same_session_cannot_run_twice_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl"), pytest.raises(UsageError, match="is running already"):
        Journal(tmp_path / "j.jsonl")


def test_what_is_measured_decides_which_session_is_gone_on_with() -> None:
    arm, profile = an_arm(), QUICK
    key = sessions.key([arm], profile, 0, "device")
    moved = dataclasses.replace(arm, path="elsewhere", inputs=dataclasses.replace(arm.inputs, path="temporary"))
    assert sessions.key([moved], profile, 0, "device") == key
    others = [
        ([dataclasses.replace(arm, sha256="another")], profile, 0, "device"),
        ([dataclasses.replace(arm, threads=2)], profile, 0, "device"),
        ([dataclasses.replace(arm, inputs=dataclasses.replace(arm.inputs, sha256="x"))], profile, 0, "device"),
        ([arm], PROFILES["standard"], 0, "device"),
        ([arm], profile, 1, "device"),
        ([arm], profile, 0, "another"),
    ]
    assert len({key, *(sessions.key(*changed) for changed in others)}) == 7


def test_a_busy_machine_is_waited_for_as_long_as_the_profile_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(sessions.time, "sleep", waited.append)
    session, busy = Session(ARMS[:1], dataclasses.replace(QUICK, wait_s=7), 0), FakeDevice({"a": 2.0})
    busy.is_calm = False
    run(busy, tmp_path / "j.jsonl", session)
    assert sum(waited) == session.waited_s == 7


class Clocked(FakeDevice):
    """A device that is its own clock: a launch takes `seconds`, or a fifth of that for memory."""

    now = 0.0

    def __init__(self, seconds: float, noise: float) -> None:
        super().__init__({"a": 2.0, "b": 3.0, "c": 4.0}, noise)
        self.seconds = seconds

    def launch(self, task: Task) -> Launch:
        self.now += self.seconds / (5 if task.kind == MEMORY else 1)
        return super().launch(task)


class Remembers(Silent):
    """A Reporter that keeps the notes, each with the time that it was made at."""

    def __init__(self, device: Clocked) -> None:
        self.device, self.notes = device, list[tuple[float, str]]()

    def note(self, text: str) -> None:
        self.notes.append((self.device.now, text))


def timed_session(path: Path, seconds: float, noise: float, **changes: float) -> tuple[list[tuple[float, str]], float]:
    """The notes of a session of two arms whose launches take so long, and how long it took."""
    device = Clocked(seconds, noise)
    session = Session(ARMS[:2], dataclasses.replace(QUICK, **changes), 0, clock=lambda: device.now)  # type: ignore[arg-type]
    reporter = Remembers(device)
    with Journal(path) as journal:
        session.run(device, journal, reporter)
    return reporter.notes, device.now


def test_what_is_left_is_told_from_what_the_first_round_took(tmp_path: Path) -> None:
    notes, whole = timed_session(tmp_path / "j.jsonl", 5.0, noise=0.0001)
    assert notes == [(10.0, "A launch takes 5.0 s: about 28 to 58 s left.")]
    assert whole == 10.0 + 20.0 + 2.0  # 28 s were expected: memory is told from what is not measuring


def test_rounds_that_precision_demands_are_told_with_what_they_take(tmp_path: Path) -> None:
    notes, whole = timed_session(tmp_path / "j.jsonl", 5.0, noise=0.3)
    assert notes == [
        (10.0, "A launch takes 5.0 s: about 28 to 58 s left."),
        (30.0, "Not every interval is within +-5% yet: more rounds follow."),
        (40.0, "A launch takes 5.0 s: about 8 to 28 s left."),
    ]
    assert whole == 62.0


def test_a_session_that_is_soon_over_does_not_tell_how_soon(tmp_path: Path) -> None:
    assert timed_session(tmp_path / "j.jsonl", 0.1, noise=0.0001)[0] == []


def test_what_earlier_launches_took_is_not_known_to_a_session_that_goes_on(tmp_path: Path) -> None:
    path, first = tmp_path / "j.jsonl", Clocked(5.0, noise=0.0001)
    first.interrupt_after = 3
    with pytest.raises(KeyboardInterrupt):
        run(first, path, Session(ARMS[:2], QUICK, 0))
    notes, _ = timed_session(path, 5.0, noise=0.0001)
    assert notes == [(5.0, "A launch takes 5.0 s: about 18 to 48 s left.")]


def test_a_journal_is_one_line_a_launch(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    run(FakeDevice({"a": 2.0}, noise=0.0), path, Session(ARMS[:1], QUICK, 0))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["round"] for line in lines] == [0, 1, 2, 0]
