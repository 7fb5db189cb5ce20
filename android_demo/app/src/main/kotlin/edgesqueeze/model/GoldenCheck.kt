package edgesqueeze.model

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/** The result of checking the golden files of an artifact on this device. */
data class GoldenResult(
    val engine: String,
    val kernels: String,
    val pixels: Int,
    val pixelsThatDiffer: Int,
    val largestDifference: Float,
    val tolerance: Float,
) {
    /** Whether all pixels are equal and all scores within the tolerance, which NaN never is. */
    val passed get() = pixelsThatDiffer == 0 && largestDifference <= tolerance
}

/** Checks an artifact on this device: its golden picture must become the golden pixels and get the golden scores. */
class GoldenCheck(
    private val preprocess: (Preprocessing, Picture) -> ByteArray = { rule, picture -> Preprocessor(rule).pixels(picture) },
    private val open: (Artifact, Int) -> Engine = ::openEngine,
) {
    /** The result for [artifact]; throws ArtifactRefused or EngineUnavailable if it cannot be checked. */
    fun check(artifact: Artifact, threads: Int): GoldenResult {
        val golden = artifact.manifest.golden
        val pixels = goldenPixels(artifact)
        val expectedPixels = artifact.read(golden.pixels)
        open(artifact, threads).use { engine ->
            val entry = golden.scores[engine.kernels]
                ?: throw ArtifactRefused("The artifact has no golden scores for ${engine.kernels} kernels. Export it again.")
            return GoldenResult(
                engine.name,
                engine.kernels,
                expectedPixels.size / CHANNELS,
                pixelsThatDiffer(pixels, expectedPixels),
                largestDifference(engine.run(pixels), floats(artifact.read(entry.file))),
                entry.tolerance,
            )
        }
    }

    private fun goldenPixels(artifact: Artifact): ByteArray {
        val picture = try {
            PictureDecoder.decode { artifact.open(artifact.manifest.golden.picture) }
        } catch (error: PictureUnreadable) {
            throw ArtifactRefused("The golden picture is damaged: ${error.message} Bundle the artifact again.", error)
        }
        try {
            return preprocess(artifact.manifest.preprocessing, picture)
        } finally {
            picture.recycle()
        }
    }
}

private fun pixelsThatDiffer(got: ByteArray, expected: ByteArray): Int {
    if (got.size != expected.size) return maxOf(got.size, expected.size) / CHANNELS
    return (got.indices step CHANNELS).count { start -> (start until start + CHANNELS).any { got[it] != expected[it] } }
}

private fun largestDifference(got: FloatArray, expected: FloatArray): Float {
    if (got.size != expected.size) return Float.POSITIVE_INFINITY
    return got.indices.maxOf { abs(got[it] - expected[it]) } // NaN stays NaN
}

/** The numbers of a golden file: float32, little endian. */
private fun floats(bytes: ByteArray): FloatArray {
    val numbers = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    return FloatArray(numbers.remaining()).also(numbers::get)
}
