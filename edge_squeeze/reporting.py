"""How long work tells that it goes on, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

T = TypeVar("T")


class Reporter(Protocol):
    """Hears of steps, of parts of a step, and of progress through many pictures."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """A numbered step of the work."""
        ...

    def part(self, title: str) -> AbstractContextManager[None]:
        """A part of a step, worth a line when somebody asks where the time goes."""
        ...

    def track(self, items: Iterable[T], title: str) -> Iterable[T]:
        """`items`, with a progress bar while they are gone through."""
        ...

    def note(self, text: str) -> None:
        """A remark on the current step."""
        ...


class Silent:
    """The Reporter that tells nobody."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Nothing happens."""
        return nullcontext()

    part = step

    def track(self, items: Iterable[T], title: str) -> Iterator[T]:
        """`items` as they are."""
        return iter(items)

    def note(self, text: str) -> None:
        """Nothing happens."""
