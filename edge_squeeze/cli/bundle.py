"""`edge-squeeze bundle`: copy artifacts into an app, list them, remove them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from edge_squeeze.cli import arguments as arg
from edge_squeeze.errors import ExitCode, UsageError

APP_MANIFESTS = ("app/src/main/AndroidManifest.xml", "src/main/AndroidManifest.xml")
MODELS = "assets/models"
IN = "out/squeezenet1.1-tflite-int8"
app = typer.Typer(
    help="Copy artifacts into an app.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=arg.examples(f"bundle android {IN} ANDROID_PROJECT", f"bundle files {IN} DIR"),
)


@app.command(
    short_help="Copy artifacts into an Android project.",
    epilog=arg.examples(f"bundle android {IN} ANDROID_PROJECT", "bundle android ANDROID_PROJECT --list"),
)
def android(
    paths: arg.AndroidPaths = None,
    *,
    force: arg.ForceBundle = False,
    list_: arg.ListBundled = False,
    remove: arg.RemoveBundled = None,
    json_: arg.Json = False,
    verbose: arg.AllColumns = False,
) -> None:
    """Copy artifacts into app/src/main/assets/models of an Android project (the last argument)."""
    from edge_squeeze.bundling import bundle
    from edge_squeeze.cli import bundle_report

    *artifacts, project = _checked(paths or [], remove or [], "android ARTIFACT... ANDROID_PROJECT", listed=list_)
    models = _models(project)
    bundle.check_supported(artifacts)
    if not (list_ or remove):
        following = bundle_report.after_android(project)
        bundle_report.add(artifacts, models, force=force, as_json=json_, verbose=verbose, following=following)
    else:
        _show_or_remove(models, remove or [], as_json=json_, verbose=verbose)


@app.command(
    short_help="Copy artifacts into any folder, for an app of your own.",
    epilog=arg.examples(f"bundle files {IN} DIR", "bundle files DIR --remove squeezenet1.1-tflite-int8"),
)
def files(
    paths: arg.FolderPaths = None,
    *,
    force: arg.ForceBundle = False,
    list_: arg.ListBundled = False,
    remove: arg.RemoveBundled = None,
    json_: arg.Json = False,
    verbose: arg.AllColumns = False,
) -> None:
    """Copy artifacts into a folder (the last argument; created if missing) for an app of your own."""
    from edge_squeeze.cli import bundle_report

    *artifacts, folder = _checked(paths or [], remove or [], "files ARTIFACT... DIR", listed=list_)
    if not (list_ or remove):
        bundle_report.add(
            artifacts, folder, force=force, as_json=json_, verbose=verbose, following=bundle_report.AFTER_FILES
        )
    elif folder.is_dir():
        _show_or_remove(folder, remove or [], as_json=json_, verbose=verbose)
    else:
        raise UsageError(f"No such folder: {folder}. Required: a folder that `edge-squeeze bundle files` wrote to.")


def _show_or_remove(folder: Path, names: Sequence[str], *, as_json: bool, verbose: bool) -> None:
    from edge_squeeze.cli import bundle_report

    if names:
        bundle_report.remove(names, folder, as_json=as_json)
    elif not bundle_report.listing(folder, as_json=as_json, verbose=verbose):
        raise typer.Exit(ExitCode.USAGE)


def _checked(paths: Sequence[Path], removed: Sequence[str], usage: str, *, listed: bool) -> list[Path]:
    """`paths`, the last of which is the target; UsageError if they do not fit the options."""
    target = usage.rpartition(" ")[2]
    help_ = f"Usage: `edge-squeeze bundle {usage}`, or {target} with --list or with --remove NAME."
    if not paths:
        raise UsageError(f"No path was passed. {help_}")
    if listed and removed:
        raise UsageError(f"--list and --remove cannot be combined. {help_}")
    if listed and len(paths) > 1:
        raise UsageError(f"--list takes only {target}, got {len(paths)} paths. {help_}")
    if removed and len(paths) > 1:
        raise UsageError(
            f"--remove takes only {target}, got {len(paths)} paths. For several names, pass --remove A --remove B."
        )
    if len(paths) == 1 and not (listed or removed):
        raise UsageError(f"Got one path, {paths[0]}: either ARTIFACT or {target} is missing. {help_}")
    return list(paths)


def _models(project: Path) -> Path:
    """The folder of models of the app in an Android `project`; UsageError if `project` is not one."""
    for name in APP_MANIFESTS:
        if (project / name).is_file():
            return (project / name).parent / MODELS
    raise UsageError(
        f"{project} is not an Android project. Required as the last path: a folder with {' or '.join(APP_MANIFESTS)}."
    )
