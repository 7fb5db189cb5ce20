package edgesqueeze.model

import android.graphics.Bitmap
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.tensorflow.lite.Interpreter

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class GoldenCheckTest {

    @Test
    fun `every exported artifact passes on this engine`() {
        val results = testArtifacts().associate { it.folder to onWorker { GoldenCheck().check(it, THREADS) } }
        results.forEach { (folder, result) -> println("golden $folder: $result") }
        assertTrue("only $results", results.size >= LEAST_ARTIFACTS)
        assertEquals(emptyMap<String, GoldenResult>(), results.filterValues { !it.passed })
    }

    @Test
    fun `differences are as small as the precision promises`() {
        for (artifact in testArtifacts()) {
            val result = onWorker { GoldenCheck().check(artifact, THREADS) }
            val limit = limit(artifact.manifest) ?: continue
            assertTrue("${artifact.folder}: $result", result.largestDifference <= limit)
        }
    }

    private fun limit(manifest: Manifest) = when (manifest.precision) {
        "float32" -> if (manifest.output.content == Content.LOGITS) FLOAT_LOGITS_LIMIT else FLOAT_LIMIT
        "int8" -> STEP_AND_A_BIT * (manifest.output.scale ?: ONE_OF_256)
        else -> null
    }

    @Test
    fun `built-in kernels give int8 scores near XNNPACK's`() {
        for (folder in listOf("squeezenet1.1-tflite-int8", "squeezenet1.1-tflite-int8-head-int8")) {
            val int8 = testArtifacts().first { it.folder == folder }
            val result = onWorker { GoldenCheck { artifact, _ -> BuiltIn(artifact) }.check(int8, THREADS) }
            // Sums that lie between two steps are rounded either way: by up to 0.058 in 100 pictures (docs/parity.md).
            assertTrue("$folder: $result", result.largestDifference < 0.06 && result.pixelsThatDiffer == 0)
        }
    }

    @Test
    fun `an app that swaps red and blue fails`() = expectFailure { rule, picture ->
        val pixels = Preprocessor(rule).pixels(picture)
        ByteArray(pixels.size) { pixels[it - it % CHANNELS + (CHANNELS - 1 - it % CHANNELS)] }
    }

    @Test
    fun `an app that scales by createScaledBitmap fails`() = expectFailure(::scaledByAndroid)

    @Test
    fun `an app that is one pixel off fails`() = expectFailure { rule, picture ->
        val pixels = Preprocessor(rule).pixels(picture)
        pixels.copyOfRange(CHANNELS, pixels.size) + pixels.copyOfRange(0, CHANNELS)
    }

    @Test
    fun `an engine that answers not a number fails`() {
        for (wrong in listOf(Float.NaN, Float.POSITIVE_INFINITY)) {
            val check = GoldenCheck { artifact, _ -> Constant(artifact, wrong) }
            assertFalse(onWorker { check.check(float32(), THREADS) }.passed)
        }
    }

    @Test
    fun `scores of another length fail`() {
        val check = GoldenCheck { artifact, threads -> Shortened(openEngine(artifact, threads)) }
        assertFalse(onWorker { check.check(float32(), THREADS) }.passed)
    }

    private fun expectFailure(preprocess: (Preprocessing, Picture) -> ByteArray) {
        for (artifact in testArtifacts()) {
            val result = onWorker { GoldenCheck(preprocess).check(artifact, THREADS) }
            assertFalse("${artifact.folder}: $result", result.passed)
            assertTrue("$result", result.pixelsThatDiffer > 0)
        }
    }

    private fun scaledByAndroid(rule: Preprocessing, picture: Picture): ByteArray {
        val row = IntArray(picture.width)
        val bitmap = Bitmap.createBitmap(picture.width, picture.height, Bitmap.Config.ARGB_8888)
        for (y in 0 until picture.height) {
            picture.readRow(y, row)
            bitmap.setPixels(row, 0, picture.width, 0, y, picture.width, 1)
        }
        val scale = rule.shortSide.toFloat() / minOf(picture.width, picture.height)
        val (width, height) = listOf(picture.width, picture.height).map { Math.round(it * scale) }
        val scaled = Bitmap.createScaledBitmap(bitmap, width, height, true)
        val left = (width - rule.cropWidth) / 2
        val top = (height - rule.cropHeight) / 2
        return ByteArray(rule.cropHeight * rule.cropWidth * CHANNELS) {
            val pixel = it / CHANNELS
            val color = scaled.getPixel(left + pixel % rule.cropWidth, top + pixel / rule.cropWidth)
            (color shr 8 * (CHANNELS - 1 - it % CHANNELS)).toByte()
        }
    }

    private fun float32() = testArtifacts().first { it.manifest.precision == "float32" && it.manifest.format == "tflite" }

    /** TFLite without XNNPACK, which says that it has it. */
    private class BuiltIn(artifact: Artifact) : Engine {
        private val manifest = artifact.manifest
        private val interpreter = Interpreter(artifact.model(), Interpreter.Options().setUseXNNPACK(false))
        override val name = "built-in kernels"
        override val kernels = "xnnpack"

        override fun run(pixels: ByteArray): FloatArray {
            val input = manifest.input.buffer(pixels.size).also { manifest.input.write(pixels, it) }
            val output = manifest.output.buffer(manifest.classes)
            interpreter.run(input, output)
            return manifest.output.read(output, manifest.classes)
        }

        override fun close() = interpreter.close()
    }

    private class Constant(private val artifact: Artifact, private val score: Float) : Engine {
        override val name = "a constant"
        override val kernels = "xnnpack"
        override fun run(pixels: ByteArray) = FloatArray(artifact.manifest.classes) { score }
        override fun close() = Unit
    }

    private class Shortened(private val engine: Engine) : Engine by engine {
        override fun run(pixels: ByteArray) = engine.run(pixels).dropLast(1).toFloatArray()
    }

    private companion object {
        const val THREADS = 2
        const val LEAST_ARTIFACTS = 6
        const val FLOAT_LIMIT = 1e-5f
        const val FLOAT_LOGITS_LIMIT = 1e-4f // they are ten times as large
        const val STEP_AND_A_BIT = 1.01f
        const val ONE_OF_256 = 1f / 256
    }
}
