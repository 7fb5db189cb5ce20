"""Pickles read as plain values: names are looked up in a table that the caller gives, and nothing else is called.

Python's own unpickler is not safe even where it finds no name to call: of a file of 11 bytes a memo index of 2**26
took 1 GB; 60 nested tuples that share their parts, as a dict's key, take 2**60 steps to hash, and a million nested ones
crash the process.
"""

from __future__ import annotations

import codecs
import io
import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any

MOST_OPERATIONS = 200_000  # a SqueezeNet takes about 2,000
BY_CODE = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
Persistent = Callable[[Any], Any]


@dataclass(frozen=True)
class Call:
    """A name in the pickle that may be called, and what is called in its place."""

    function: Callable[..., Any]


class Stateful:
    """A value that takes its state after it was made."""

    def build(self, state: Any) -> None:
        """Take `state`, which can be anything."""
        raise NotImplementedError


def load(data: bytes | bytearray, names: Mapping[str, Any], persistent: Persistent | None = None) -> Any:
    """The value that `data` pickles: numbers, texts, containers and what `names` ("module name" -> value) admits.

    `persistent` makes the value of a persistent id. Raises UnpicklingError, ValueError and whatever else a damaged
    pickle makes the functions in `names` run into.
    """
    machine = _Machine(names, persistent)
    for count, (operation, argument) in enumerate(_operations(io.BytesIO(data))):
        if operation == "STOP":
            return machine.stack.pop()
        if count == MOST_OPERATIONS:
            raise UnpicklingError(f"it has more than {MOST_OPERATIONS:,} operations")
        machine.run(operation, argument)
    raise UnpicklingError("it ends early")


def _operations(file: io.BytesIO) -> Iterator[tuple[str, Any]]:
    while code := file.read(1):
        opcode = BY_CODE.get(code[0])
        if opcode is None:
            raise UnpicklingError(f"byte {file.tell() - 1:,} is no operation")
        if opcode.name == "STRING":  # Python 2's text, which may hold the bytes of an array
            escaped = pickletools.read_stringnl(file, decode=False)
            yield opcode.name, codecs.escape_decode(escaped)[0].decode("latin-1")
        else:
            yield opcode.name, opcode.arg.reader(file) if opcode.arg else None


class _Machine:
    """The stack, memo and marks of a pickle that is being read."""

    def __init__(self, names: Mapping[str, Any], persistent: Persistent | None) -> None:
        self._names, self._persistent = names, persistent
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks under each mark
        self._memo: dict[int, Any] = {}

    def run(self, operation: str, argument: Any) -> None:
        if operation in VALUES:
            self.stack.append(argument)
        elif operation in CONSTANTS:
            self.stack.append(CONSTANTS[operation]())
        elif operation in ACTIONS:
            ACTIONS[operation](self, argument)
        else:
            raise UnpicklingError(f"it has the operation {operation}, which weights have no need of")

    def ignore(self, argument: Any) -> None:
        pass

    def mark(self, argument: Any) -> None:
        self._below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self._below.pop()
        return items

    def put(self, argument: Any) -> None:
        self._memo[len(self._memo) if argument is None else argument] = self.stack[-1]

    def get(self, argument: Any) -> None:
        self.stack.append(self._memo[argument])

    def name(self, argument: Any) -> None:
        if argument is None:  # as two texts on the stack
            name, module = self.stack.pop(), self.stack.pop()
            argument = f"{module:.100} {name:.100}"
        if argument not in self._names:
            raise UnpicklingError(f"it asks for {argument[:200].replace(' ', '.')}, which weights have no need of")
        self.stack.append(self._names[argument])

    def call(self, argument: Any) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        if not isinstance(called, Call) or not isinstance(arguments, tuple):
            raise UnpicklingError("it calls what cannot be called")
        self.stack.append(called.function(*arguments))

    def build(self, argument: Any) -> None:
        state, built = self.stack.pop(), self.stack[-1]
        if isinstance(built, Stateful):
            built.build(state)
        elif not isinstance(built, dict):  # a dict's is what torch notes about versions
            raise UnpicklingError("it sets the state of what has none")

    def persistent(self, argument: Any) -> None:
        if self._persistent is None:
            raise UnpicklingError("it refers to data outside the pickle")
        self.stack.append(self._persistent(self.stack.pop()))

    def make_tuple(self, count: int | None) -> None:
        items = self.since_mark() if count is None else [self.stack.pop() for _ in range(count)][::-1]
        self.stack.append(tuple(items))

    def make_list(self, argument: Any) -> None:
        items = self.since_mark()
        self.stack.append(items)

    def make_dict(self, argument: Any) -> None:
        items = self.since_mark()
        self.stack.append({})
        self.set_items(items)

    def append_items(self, items: Any) -> None:
        if not isinstance(self.stack[-1], list):
            raise UnpicklingError("it appends to what is no list")
        self.stack[-1].extend(items)

    def set_items(self, items: Any) -> None:
        keys, values = items[::2], items[1::2]
        if not isinstance(self.stack[-1], dict) or not all(type(key) in {str, int} for key in keys):
            raise UnpicklingError("it sets items of what is no dict, or with keys that are neither text nor numbers")
        self.stack[-1].update(zip(keys, values, strict=True))

    def append_one(self, argument: Any) -> None:
        self.append_items([self.stack.pop()])

    def set_one(self, argument: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])


VALUES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.ignore,
    "FRAME": _Machine.ignore,
    "MARK": _Machine.mark,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
    "TUPLE": _Machine.make_tuple,
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "LIST": _Machine.make_list,
    "DICT": _Machine.make_dict,
    "APPEND": _Machine.append_one,
    "APPENDS": lambda machine, _: machine.append_items(machine.since_mark()),
    "SETITEM": _Machine.set_one,
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
}
