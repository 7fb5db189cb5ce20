"""A worker of an evaluation: reads the arms, then chunks, a line each, from stdin, and writes their rows to stdout."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from edge_squeeze.errors import EdgeSqueezeError
from edge_squeeze.evaluation import chunks
from edge_squeeze.evaluation.chunks import Arm, Chunk
from edge_squeeze.evaluation.executor import CODE, ERROR, READY
from edge_squeeze.process.supervision import die_with


def main() -> None:
    """Answer until there are no more chunks, or until one cannot be answered."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # engines print on standard output

        def say(value: Any) -> None:
            answers.write(json.dumps(value, separators=(",", ":")) + "\n")
            answers.flush()

        try:
            task = json.loads(sys.stdin.readline())
            die_with(task["parent"])
            arms = [Arm(**arm) for arm in task["arms"]]
            for arm in arms:
                chunks.open_arm(arm)
            say(READY)
            for line in sys.stdin:
                say(chunks.answer(Chunk.decode(json.loads(line)), arms))
        except EdgeSqueezeError as error:
            say({ERROR: str(error), CODE: int(error.exit_code)})


if __name__ == "__main__":
    main()
