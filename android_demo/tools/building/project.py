"""The demo's source tree: where its parts are, and what its Gradle files say that a build without Gradle must know."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from building.console import UnusableError

ANDROID = "http://schemas.android.com/apk/res/android"
COMPONENTS = ("activity", "activity-alias", "service", "receiver", "provider")


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
        """What app/build.gradle.kts says; UnusableError if it does not say it plainly."""
        path = self.root / "app" / "build.gradle.kts"
        text = path.read_text()

        def value(name: str) -> str:
            found = re.search(rf'^\s*{name}\s*=\s*("[^"$]+"|\d+)\s*$', text, re.MULTILINE)
            if found is None:
                raise UnusableError(f"{path}: required a line `{name} = VALUE` with a plain value, found none.")
            return found[1].strip('"')

        words = ("namespace", "applicationId", "minSdk", "targetSdk", "versionCode", "versionName")
        namespace, application_id, min_sdk, target_sdk, version_code, version_name = map(value, words)
        return Settings(namespace, application_id, int(min_sdk), int(target_sdk), int(version_code), version_name)

    def merged_manifest(self) -> str:
        """The manifest with what Android's Gradle plugin would add to it; UnusableError if it has that already."""
        path = self.main / "AndroidManifest.xml"
        try:
            return merge(path.read_text(), self.settings())
        except (OSError, ET.ParseError, ValueError) as error:
            raise UnusableError(f"{path}: {error}") from error


def merge(manifest: str, settings: Settings) -> str:
    """The manifest with package, versions, SDK levels and full class names; ValueError if it says these itself."""
    ET.register_namespace("android", ANDROID)
    root = ET.fromstring(manifest.replace("${applicationId}", settings.application_id))  # noqa: S314 - the project's own
    application = root.find("application")
    if application is None:
        raise ValueError("required an <application>, found none.")
    if "package" in root.attrib or root.find("uses-sdk") is not None:
        raise ValueError("package and uses-sdk belong into app/build.gradle.kts; remove them here.")
    root.set("package", settings.application_id)
    root.set(_android("versionCode"), str(settings.version_code))
    root.set(_android("versionName"), settings.version_name)
    levels = {"minSdkVersion": str(settings.min_sdk), "targetSdkVersion": str(settings.target_sdk)}
    root.insert(0, ET.Element("uses-sdk", {_android(name): level for name, level in levels.items()}))
    application.set(_android("extractNativeLibs"), "false")  # they are stored, and loaded from where they are
    for element in (application, *(found for name in COMPONENTS for found in application.findall(name))):
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
