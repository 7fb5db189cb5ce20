"""The demo's source tree: its parts, what its Gradle files say that a build without Gradle needs, and its models."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from building.console import UnusableError

ANDROID = "http://schemas.android.com/apk/res/android"
COMPONENTS = ("activity", "activity-alias", "service", "receiver", "provider")
INDEX = "index.json"
HOW_TO_BUNDLE = (
    "Bundle an artifact first, from the folder above android_demo:\n"
    "  edge-squeeze bundle android out/squeezenet1.1-tflite-int8 android_demo"
)
# Android's packager drops these; an interrupted `bundle` may leave some.
IGNORED = shutil.ignore_patterns(".*", "*~")


@dataclass(frozen=True)
class Settings:
    """The plain values of app/build.gradle.kts."""

    namespace: str
    application_id: str
    min_sdk: int
    target_sdk: int
    version_code: int
    version_name: str


@dataclass(frozen=True)
class Project:
    """An Android project of one module, `app`, in Gradle's layout."""

    root: Path

    @property
    def main(self) -> Path:
        """The app's sources: AndroidManifest.xml, kotlin, res and assets."""
        return self.root / "app" / "src" / "main"

    @property
    def tests(self) -> Path:
        """The tests' Kotlin sources."""
        return self.root / "app" / "src" / "test" / "kotlin"

    @property
    def models(self) -> Path:
        """The bundled models."""
        return self.main / "assets" / "models"

    @property
    def gradle_files(self) -> list[Path]:
        """The build files in Kotlin."""
        return sorted([*self.root.glob("*.gradle.kts"), *self.root.glob("app/*.gradle.kts")])

    def settings(self) -> Settings:
        """The settings in app/build.gradle.kts; UnusableError if one of them is not a plain value."""
        path = self.root / "app" / "build.gradle.kts"
        text = path.read_text()

        def value(name: str) -> str:
            match = re.search(rf'^\s*{name}\s*=\s*("[^"$]+"|\d+)\s*$', text, re.MULTILINE)
            if match is None:
                raise UnusableError(f"{path}: required a line `{name} = VALUE` with a plain value, got none.")
            return match[1].strip('"')

        words = ("namespace", "applicationId", "minSdk", "targetSdk", "versionCode", "versionName")
        namespace, application_id, min_sdk, target_sdk, version_code, version_name = map(value, words)
        return Settings(namespace, application_id, int(min_sdk), int(target_sdk), int(version_code), version_name)

    def merged_manifest(self) -> str:
        """The manifest with what Android's Gradle plugin adds to it; UnusableError if it has that already."""
        path = self.main / "AndroidManifest.xml"
        try:
            return merge_manifest(path.read_text(), self.settings())
        except (OSError, ET.ParseError, ValueError) as error:
            raise UnusableError(f"{path}: {error}") from error


def merge_manifest(manifest: str, settings: Settings) -> str:
    """The manifest with package, versions, SDK levels and full class names; ValueError if it sets these itself."""
    ET.register_namespace("android", ANDROID)
    root = ET.fromstring(manifest.replace("${applicationId}", settings.application_id))  # noqa: S314 - the project's own
    application = root.find("application")
    if application is None:
        raise ValueError("required an <application>, got none.")
    if "package" in root.attrib or root.find("uses-sdk") is not None:
        raise ValueError("package and uses-sdk belong in app/build.gradle.kts. Remove them here.")
    root.set("package", settings.application_id)
    root.set(_android("versionCode"), str(settings.version_code))
    root.set(_android("versionName"), settings.version_name)
    levels = {"minSdkVersion": str(settings.min_sdk), "targetSdkVersion": str(settings.target_sdk)}
    root.insert(0, ET.Element("uses-sdk", {_android(name): level for name, level in levels.items()}))
    application.set(_android("extractNativeLibs"), "false")  # they are stored uncompressed, and loaded from the APK
    for element in (application, *(element for name in COMPONENTS for element in application.findall(name))):
        _complete_name(element, settings.namespace)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _android(name: str) -> str:
    return f"{{{ANDROID}}}{name}"


def _complete_name(element: ET.Element, namespace: str) -> None:
    """Class names are relative to the namespace, which need not be the application's id."""
    for attribute in (_android("name"), _android("targetActivity")):
        name = element.get(attribute)
        if name and (name.startswith(".") or "." not in name):
            element.set(attribute, f"{namespace}.{name.removeprefix('.')}")


@dataclass(frozen=True)
class Model:
    """An artifact in the folder of models."""

    folder: str
    format: str
    file: str


def bundled_models(models: Path) -> list[Model]:
    """The models that the folder's index lists; UnusableError if there are none, or the folder is damaged."""
    if not (models / INDEX).is_file():
        raise UnusableError(f"{models} holds no models: it has no {INDEX}. {HOW_TO_BUNDLE}")
    bundled = [_model(models, folder) for folder in _listed(models)]
    if not bundled:
        raise UnusableError(f"{models} holds no models: its {INDEX} lists none. {HOW_TO_BUNDLE}")
    return bundled


def unlisted_models(models: Path) -> list[str]:
    """Folders that the index does not list, so that no app would find them."""
    folders = (path.name for path in models.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(set(folders) - set(_listed(models)))


def _listed(models: Path) -> list[str]:
    try:
        return [entry["folder"] for entry in json.loads((models / INDEX).read_text())["artifacts"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnusableError(f"{models / INDEX} is not a list of models. Move {models} away. {HOW_TO_BUNDLE}") from error


def _model(models: Path, folder: str) -> Model:
    """The model in `folder`; UnusableError unless it is unchanged since it was exported."""
    try:
        manifest = json.loads((models / folder / "model.json").read_text())
        for file in (manifest["file"], manifest["labels"]):
            _check_hash(models / folder / file["name"], file["sha256"])
        return Model(folder, manifest["format"], manifest["file"]["name"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnusableError(
            f"{folder} is listed in {models / INDEX}, but is damaged: {error}. Bundle it again, or remove it with "
            "`edge-squeeze bundle android android_demo --remove NAME`."
        ) from error


def _check_hash(path: Path, sha256: str) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path.name} is not the file that was exported")


def merge_assets(assets: Path, models: Path, out: Path) -> Path:
    """The new folder `out`, made of the app's own assets and, as its `models`, of those that `models` lists."""
    out.mkdir()
    if assets.is_dir():
        for path in sorted(set(assets.iterdir()) - {assets / "models"}):
            _copy(path, out / path.name)
    (out / "models").mkdir()
    for name in (INDEX, *_listed(models)):
        _copy(models / name, out / "models" / name)
    return out


def _copy(path: Path, out: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, out, ignore=IGNORED)
    else:
        shutil.copy2(path, out)
