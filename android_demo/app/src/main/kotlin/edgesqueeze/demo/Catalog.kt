package edgesqueeze.demo

import android.content.Context
import android.os.Build
import edgesqueeze.model.Artifact
import edgesqueeze.model.Bundle
import edgesqueeze.model.Bundled
import java.security.MessageDigest

/** The bundled artifacts, and which of them can be used on this device. */
internal class Catalog(private val bundle: Bundle, private val engines: Engines) {

    /** Every bundled artifact with its verdict from [settings]; throws ArtifactRefused without a bundle. */
    fun models(settings: Settings): List<Model> = bundle.artifacts().map { bundled ->
        when (bundled) {
            is Bundled.Refused -> Model(bundled.folder, null, bundled.reason, null)
            is Bundled.Usable -> model(bundled.artifact, settings)
        }
    }

    private fun model(artifact: Artifact, settings: Settings): Model {
        val problem = engines.unavailable(artifact.manifest.format)
        val verdict = if (problem == null) settings.verdict(artifact.fingerprint()) else null
        return Model(artifact.folder, artifact, problem, verdict)
    }
}

/** The sha256 of the manifest, which holds those of the model and the labels. */
internal fun Artifact.fingerprint(): String =
    MessageDigest.getInstance("SHA-256").digest(read("model.json")).joinToString("") { "%02x".format(it) }

/** What the app remembers; checks are valid for this installation on this system only. */
internal fun settingsOf(context: Context): Settings {
    val installed = context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime
    return Settings(context.getSharedPreferences("settings", Context.MODE_PRIVATE), "$installed ${Build.FINGERPRINT}")
}
