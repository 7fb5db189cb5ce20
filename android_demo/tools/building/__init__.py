"""The steps that make the demo's APK and run its tests, without Gradle and without the Android SDK."""
