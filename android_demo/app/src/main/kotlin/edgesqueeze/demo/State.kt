package edgesqueeze.demo

import android.graphics.Bitmap
import edgesqueeze.model.Artifact
import edgesqueeze.model.Classification

/** The result of an artifact's golden check on this device, and its figures in words. */
data class Verdict(val passed: Boolean, val text: String)

/** A bundled artifact, null if it was refused; [problem] says why it was, or why no engine can run it. */
data class Model(val folder: String, val artifact: Artifact?, val problem: String?, val verdict: Verdict?) {
    val usable get() = artifact != null && problem == null
    val name get() = artifact?.manifest?.name ?: folder
}

/** A picture, small enough for the screen; [classification] is null until there is one. */
data class Still(val preview: Bitmap, val classification: Classification?)

/** The camera's newest frame that was classified: null before the first. */
data class Live(val classification: Classification?, val picturesPerSecond: Float)

/** Everything that the screens show, replaced whenever something changes. [problem]: why no model is chosen. */
data class State(
    val loading: Boolean = true,
    val models: List<Model> = emptyList(),
    val chosen: Model? = null,
    val threads: Int = 1,
    val mostThreads: Int = 1,
    val engine: String? = null,
    val problem: String? = null,
    val busy: Boolean = false,
    val still: Still? = null,
    val live: Live? = null,
    val message: String? = null,
)
