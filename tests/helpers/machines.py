"""Machines that packages have wheels for, or not."""

from __future__ import annotations

from dataclasses import replace

from edge_squeeze.machine.host import Cpu, Machine

PC = Machine("3.12.1", "python", "Linux", "x86_64", "glibc 2.36", Cpu(None, 1, None, None), None, [])
PI_32 = replace(PC, machine="armv7l", python="3.11.2")
MUSL = replace(PC, libc="musl")
MAC = replace(PC, system="Darwin", machine="arm64", libc=None, python="3.14.0")
WINDOWS = replace(PC, system="Windows", machine="AMD64", libc=None)
