"""One command on one or several devices at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from edge_squeeze.devices.address import Address
from edge_squeeze.devices.job import Job
from edge_squeeze.devices.ssh.session import Device, Outcome, Tell
from edge_squeeze.errors import EdgeSqueezeError


@dataclass(frozen=True)
class Attempt:
    """What a command came to on the device `name`, or the error that kept it from that."""

    name: str
    slug: str
    outcome: Outcome | None
    error: EdgeSqueezeError | None = None


def run(addresses: Sequence[Address], job: Job, tell: Tell, *, setup: bool) -> list[Attempt]:
    """What `job` came to on each of `addresses`; their lines go to `tell` as they come.

    Interrupted, it ends the work on all devices first.
    """
    devices = [Device(one, _teller(one, tell, many=len(addresses) > 1), setup=setup) for one in addresses]
    with _broken_pipes_are_errors(), ThreadPoolExecutor(len(devices)) as pool:
        attempts = [pool.submit(_attempt, one, job) for one in devices]
        try:
            wait(attempts)
        except BaseException:
            cancelling = [threading.Thread(target=one.cancel) for one in devices]
            for thread in cancelling:
                thread.start()
            wait(attempts)
            raise
        return [one.result() for one in attempts]


@contextmanager
def _broken_pipes_are_errors() -> Iterator[None]:
    """Keep a write to an ssh that has ended from ending this process, as the command line has it for its output."""
    if not hasattr(signal, "SIGPIPE"):
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)


def _attempt(device: Device, job: Job) -> Attempt:
    address = device.address
    try:
        return Attempt(address.text, address.slug, device.run(job))
    except EdgeSqueezeError as error:
        return Attempt(address.text, address.slug, None, error)


def _teller(address: Address, tell: Tell, *, many: bool) -> Tell:
    prefix = f"{address.text}: " if many else ""

    return lambda line: tell(f"{prefix}{line.strip() if prefix else line}")


def run_alone(address: Address, job: Job, tell: Tell, *, setup: bool) -> Outcome:
    """What `job` came to on one device; its error is raised."""
    (attempt,) = run([address], job, tell, setup=setup)
    if attempt.outcome is None:
        raise attempt.error or AssertionError
    return attempt.outcome
