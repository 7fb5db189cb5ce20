import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

// tools/building/project.py reads the plain values of this block, one a line, for builds without the Android SDK.
android {
    namespace = "edgesqueeze.demo"
    compileSdk = 34

    defaultConfig {
        applicationId = "edgesqueeze.demo"
        minSdk = 26
        targetSdk = 34
        versionCode = 14
        versionName = "0.14.0"
        // Most phones, and the emulator; each more costs 15 to 25 MB, ONNX Runtime above all.
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }

    // Stored as they are, models are mapped into memory instead of being copied.
    androidResources { noCompress += listOf("tflite", "onnx") }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }

    testOptions { unitTests.isIncludeAndroidResources = true }
}

kotlin {
    compilerOptions { jvmTarget = JvmTarget.JVM_1_8 }
}

dependencies {
    implementation(libs.litert)
    implementation(libs.onnxruntime)
    // For the editor: the tests want engines for this machine, which `make android-test` brings.
    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
}
