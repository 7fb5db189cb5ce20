package edgesqueeze.model

import kotlin.math.exp

/** A class and its score from 0 to 1, which is its probability if the classes are mutually exclusive. */
data class Prediction(val label: String, val index: Int, val score: Float)

/** The best classes of a picture, best first, the time that each stage took, and whether it shows none of them. */
data class Classification(
    val predictions: List<Prediction>,
    val decodeMs: Float,
    val preprocessMs: Float,
    val inferenceMs: Float,
    val rejected: Boolean = false,
)

/** A loaded artifact: [classify] is all that an app needs. Use it on one thread at a time, not the main thread. */
class Classifier(
    val artifact: Artifact,
    threads: Int,
    open: (Artifact, Int) -> Engine = ::openEngine,
) : AutoCloseable {
    private val labels = artifact.labels()
    private val preprocessor = Preprocessor(artifact.manifest.preprocessing)
    private val engine = open(artifact, threads)

    /** Name and version of the engine. */
    val engineName get() = engine.name

    /** The [top] best classes of the encoded picture in [source]; throws PictureUnreadable. */
    fun classify(source: PictureSource, top: Int = TOP): Classification {
        val start = System.nanoTime()
        val picture = PictureDecoder.decode(source)
        val decodeMs = millisecondsSince(start)
        try {
            return classify(picture, top).copy(decodeMs = decodeMs)
        } finally {
            picture.recycle()
        }
    }

    /** The [top] best classes of a decoded picture. */
    fun classify(picture: Picture, top: Int = TOP): Classification {
        val start = System.nanoTime()
        val pixels = preprocessor.pixels(picture)
        val preprocessMs = millisecondsSince(start)
        val ready = System.nanoTime()
        val scores = comparable(engine.run(pixels), artifact.manifest.output.content)
        val rejected = artifact.manifest.reject?.rejects(scores) ?: false
        return Classification(best(scores, top), 0f, preprocessMs, millisecondsSince(ready), rejected)
    }

    override fun close() = engine.close()

    private fun best(scores: FloatArray, top: Int) = scores.indices
        .sortedByDescending { scores[it] } // stable: int8 scores often tie, and must rank the same everywhere
        .take(top)
        .map { Prediction(labels[it], it, scores[it]) }

    companion object {
        /** The number of classes shown. */
        const val TOP = 5
    }
}

/** [scores] from 0 to 1: logits go through a softmax, others are unchanged. */
internal fun comparable(scores: FloatArray, content: Content): FloatArray {
    if (content != Content.LOGITS) return scores
    val highest = scores.max()
    val powers = DoubleArray(scores.size) { exp((scores[it] - highest).toDouble()) }
    val sum = powers.sum()
    return FloatArray(scores.size) { (powers[it] / sum).toFloat() }
}

private fun millisecondsSince(startNanos: Long) = (System.nanoTime() - startNanos) / NANOS_PER_MS

private const val NANOS_PER_MS = 1e6f
