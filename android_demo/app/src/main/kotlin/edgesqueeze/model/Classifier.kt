package edgesqueeze.model

import kotlin.math.exp

/** A class and its score from 0 to 1: its probability, unless classes do not exclude each other. */
data class Prediction(val label: String, val index: Int, val score: Float)

/** The best classes of a picture, best first, and what it took to find them. */
data class Classification(
    val predictions: List<Prediction>,
    val decodeMs: Float,
    val preprocessMs: Float,
    val inferenceMs: Float,
)

/** An artifact, loaded: [classify] is all that an app needs. Not for the main thread; one thread at a time. */
class Classifier(
    val artifact: Artifact,
    threads: Int,
    open: (Artifact, Int) -> Engine = ::openEngine,
) : AutoCloseable {
    private val labels = artifact.labels()
    private val preprocessor = Preprocessor(artifact.manifest.preprocessing)
    private val engine = open(artifact, threads)

    /** Name and version of what computes. */
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

    /** The [top] best classes of a picture that is decoded already. */
    fun classify(picture: Picture, top: Int = TOP): Classification {
        val start = System.nanoTime()
        val pixels = preprocessor.pixels(picture)
        val preprocessMs = millisecondsSince(start)
        val ready = System.nanoTime()
        val scores = comparable(engine.run(pixels), artifact.manifest.output.content)
        return Classification(best(scores, top), 0f, preprocessMs, millisecondsSince(ready))
    }

    override fun close() = engine.close()

    private fun best(scores: FloatArray, top: Int) = scores.indices
        .sortedByDescending { scores[it] } // stable: int8 scores tie often, and must rank the same everywhere
        .take(top)
        .map { Prediction(labels[it], it, scores[it]) }

    companion object {
        /** How many classes are shown. */
        const val TOP = 5
    }
}

/** [scores] on a scale of 0 to 1: logits go through a softmax, others stay. */
internal fun comparable(scores: FloatArray, content: Content): FloatArray {
    if (content != Content.LOGITS) return scores
    val highest = scores.max()
    val powers = DoubleArray(scores.size) { exp((scores[it] - highest).toDouble()) }
    val sum = powers.sum()
    return FloatArray(scores.size) { (powers[it] / sum).toFloat() }
}

private fun millisecondsSince(startNanos: Long) = (System.nanoTime() - startNanos) / NANOS_PER_MS

private const val NANOS_PER_MS = 1e6f
