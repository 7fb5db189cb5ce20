"""What the Android tools see in made-up APKs and in made-up libraries."""

from __future__ import annotations

import ast
import re
import struct
import sys
import zipfile
from pathlib import Path

import pytest
from places import ROOT

TOOLS = ROOT / "android_demo" / "tools"
sys.path.insert(0, str(TOOLS))

import apk as apk_tool  # noqa: E402
from building import console, elf, packaging  # noqa: E402
from building.project import Model, Project, Settings  # noqa: E402
from made_up_models import bundle  # noqa: E402

SETTINGS = Settings("some.space", "some.app", 26, 34, 7, "1.2")
PAGE = packaging.PAGE_BYTES
MODEL = "assets/models/a/a.tflite"
DYNAMIC = ((1, 5), (0x6FFFFFF0, 6), (0x6FFFFFFE, 7), (0x6FFFFFFF, 8), (5, 9))


def shared(page_bytes: int, bits: int = 64) -> bytes:
    """A shared library: headers of two segments, the second with DYNAMIC."""
    wide = bits == 64
    segments = struct.Struct("<IIQQQQQQ" if wide else "<IIIIIIII")
    table = b"".join(struct.pack("<QQ", *entry) for entry in DYNAMIC)
    start = 64 + 2 * segments.size
    header = bytearray(64)
    header[:6] = b"\x7fELF" + bytes([2 if wide else 1, 1])
    struct.pack_into("<Q" if wide else "<I", header, 32 if wide else 28, 64)
    struct.pack_into("<HH", header, 54 if wide else 42, segments.size, 2)
    if wide:
        rows = ((1, 5, 0, 0, 0, start, start, page_bytes), (2, 4, start, 0, 0, len(table), 0, 8))
    else:
        rows = ((1, 0, 0, 0, start, start, 5, page_bytes), (2, start, 0, 0, len(table), 0, 4, 4))
    return bytes(header) + b"".join(segments.pack(*row) for row in rows) + table


def apk(path: Path, entries: dict[str, bytes], *, packed: str = r"$^", shift: int = 0) -> Path:
    """An APK whose stored entries start `shift` bytes after a page; those that `packed` matches are compressed."""
    with zipfile.ZipFile(path, "w") as file:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            start = file.fp.tell() + packaging.LOCAL_HEADER_BYTES + len(name)
            entry.extra = bytes((shift - start) % PAGE)
            file.writestr(entry, data, zipfile.ZIP_DEFLATED if re.search(packed, name) else zipfile.ZIP_STORED)
    return path


@pytest.fixture
def expected(tmp_path: Path) -> packaging.Expected:
    bundle(tmp_path / "assets" / "models")
    model = Model("a", "tflite", "a.tflite")
    return packaging.Expected(SETTINGS, "some.space.B", ["x86"], [model], tmp_path / "assets", ["some.space.A"])


def entries_of(assets: Path) -> dict[str, bytes]:
    files = (path for path in assets.rglob("*") if path.is_file())
    return {f"assets/{path.relative_to(assets).as_posix()}": path.read_bytes() for path in files}


def test_models_that_are_not_in_the_apk_as_they_were_are_found(tmp_path: Path, expected: packaging.Expected) -> None:
    whole = entries_of(expected.assets)
    assert not list(packaging.wrong_models(apk(tmp_path / "a.apk", whole), expected))
    for name, entries, packed, problem in (
        ("b.apk", {key: data for key, data in whole.items() if key != MODEL}, "$^", f"{MODEL} is missing"),
        ("c.apk", {**whole, MODEL: b"abce"}, "$^", f"{MODEL} has changed"),
        ("d.apk", whole, r"\.tflite$", f"{MODEL} is compressed"),
    ):
        (got,) = packaging.wrong_models(apk(tmp_path / name, entries, packed=packed), expected)
        assert problem in got


@pytest.mark.parametrize(("shift", "packed", "count"), [(0, r"$^", 0), (4096, r"$^", 2), (4, r"b$", 1)])
def test_stored_entries_off_a_page_are_found(tmp_path: Path, shift: int, packed: str, count: int) -> None:
    made = apk(tmp_path / "a.apk", {"a": b"1" * 9, "b": b"2" * 9, "empty": b""}, packed=packed, shift=shift)
    assert len(list(packaging.misaligned(made))) == count


def test_other_abis_and_too_much_of_our_own_are_found(tmp_path: Path, expected: packaging.Expected) -> None:
    library, large = shared(4096), shared(4096) + bytes(6_000_001)
    right = apk(tmp_path / "a.apk", {"lib/x86/libt.so": library, "lib/x86/libonnxruntime.so": large, MODEL: large})
    assert not [*packaging.wrong_libraries(right, expected), *packaging.too_large(right, expected)]
    wrong = apk(tmp_path / "b.apk", {"lib/mips/libt.so": large})
    assert list(packaging.wrong_libraries(wrong, expected)) == ["libraries: required the ABIs x86, got mips"]
    assert list(packaging.too_large(wrong, expected)) == [
        "size: 6.0 MB without models and ONNX Runtime, over the limit of 6.0 MB"
    ]
    assert packaging.content(wrong).small_pages == ("lib/mips/libt.so",)


def test_missing_classes_and_calls_without_bootstrap_are_found(
    monkeypatch: pytest.MonkeyPatch, expected: packaging.Expected
) -> None:
    for dump, problems in (
        ("'Lsome/space/A;'", []),
        ("'Lsome/space/AB;' invoke-custom", ["A is missing", "1 invoke-c"]),
    ):
        monkeypatch.setattr(packaging, "run", lambda *_, dump=dump, **__: dump)
        got = list(packaging.wrong_code(Path("a.apk"), expected))
        assert len(got) == len(problems)
        assert all(part in text for part, text in zip(problems, got, strict=True))


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("page_bytes", [4096, 16384])
def test_the_pages_of_a_library_are_read(bits: int, page_bytes: int) -> None:
    assert elf.alignment(shared(page_bytes, bits)) == page_bytes


def test_versions_of_symbols_are_taken_out_and_nothing_else_changes() -> None:
    library = shared(4096)
    got = elf.without_symbol_versions(library)
    start = library.index(struct.pack("<QQ", *DYNAMIC[0]))
    assert got[:start] == library[:start]
    assert [*struct.iter_unpack("<QQ", got[start:])] == [(1, 5), (0x15, 6), (0x15, 7), (0x15, 8), (5, 9)]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", shared(4096)[:40], shared(4096)[:80]])
def test_what_is_no_library_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="a shared library"):
        elf.alignment(data)


def test_an_apk_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = tmp_path / "new.apk", tmp_path / "out" / "old.apk"
    new.write_text("new")
    packaging.put_in_place(new, old)

    def full(source: Path, target: Path) -> None:
        target.write_text("ne")
        raise OSError("No space left on device")

    monkeypatch.setattr(packaging.shutil, "copyfile", full)
    with pytest.raises(console.UnusableError, match="No space left"):
        packaging.put_in_place(new, old)
    assert [path.read_text() for path in old.parent.iterdir()] == ["new"]


UNAVAILABLE, SIDELOAD = "shows as unavailable: b.\n  To include it, pass --onnxruntime-aar FILE", "not for the store"


@pytest.mark.parametrize(
    ("library_bytes", "small_pages", "warned"), [(0, (), [UNAVAILABLE]), (3_000_000, ("x.so",), [SIDELOAD])]
)
def test_what_the_apk_cannot_do_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    library_bytes: int,
    small_pages: tuple[str, ...],
    warned: list[str],
) -> None:
    options = apk_tool.Options(Project(tmp_path), ("x86",), None, tmp_path, tmp_path / "a.apk")
    bundled = [Model("a", "tflite", "a.tflite"), Model("b", "onnx", "b.onnx")]
    apk_tool._summarize(options, bundled, packaging.Content(12_000_000, 2_000_000, library_bytes, small_pages))
    out = capsys.readouterr().out
    assert f"app and TFLite {10 - library_bytes / 1e6:.1f}" in out
    assert "2 model(s) 2.0" in out
    assert [warning for warning in (UNAVAILABLE, SIDELOAD) if warning in out] == warned
    assert out.endswith(f"  adb install -r {tmp_path / 'a.apk'}\n")


def test_functions_and_files_stay_short() -> None:
    files, lengths = sorted(TOOLS.rglob("*.py")), {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                documented = node.body[0] if ast.get_docstring(node) else None
                docstring = documented.end_lineno - documented.lineno + 1 if documented else 0
                lengths[f"{path.name}: {node.name}"] = node.end_lineno - node.lineno + 1 - docstring
    assert sorted(lengths.values())[len(lengths) // 2] <= 10
    assert not {name: length for name, length in lengths.items() if length > 40}
    assert not [path for path in (*files, *TOOLS.rglob("*.java")) if len(path.read_text().splitlines()) > 250]
