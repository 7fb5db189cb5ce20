package edgesqueeze.model

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ClassifierTest {

    @Test
    fun `every artifact knows the golden picture`() {
        for (artifact in testArtifacts()) {
            val found = classify(artifact)
            assertEquals(artifact.folder, "Egyptian cat", found.predictions.first().label)
            assertTrue("${artifact.folder}: ${found.predictions}", found.predictions.first().score in 0.3f..1f)
            assertTrue(found.decodeMs > 0 && found.preprocessMs > 0 && found.inferenceMs > 0)
        }
    }

    @Test
    fun `logits become the probabilities of the network with a softmax`() {
        val (with, without) = listOf("squeezenet1.1-tflite-float32", "my-logits-tflite-float32").map { folder ->
            classify(testArtifacts().first { it.folder == folder }).predictions
        }
        assertEquals(with.map { it.label }, without.map { it.label })
        with.zip(without).forEach { (a, b) -> assertEquals(a.score, b.score, PROBABILITY_ERROR) }
    }

    @Test
    fun `both layouts give the same scores`() {
        val (channelsFirst, channelsLast) = listOf("", "-nhwc").map { suffix ->
            testArtifacts().first { it.folder == "squeezenet1.1-onnx-float32$suffix" }
        }
        assertEquals(listOf(1, 3, 227, 227), channelsFirst.manifest.input.shape)
        assertEquals(listOf(1, 227, 227, 3), channelsLast.manifest.input.shape)
        assertEquals(Layout.NCHW to Layout.NHWC, channelsFirst.manifest.input.layout to channelsLast.manifest.input.layout)
        val (first, last) = listOf(channelsFirst, channelsLast).map { classify(it).predictions }
        assertEquals(first.map { it.label }, last.map { it.label })
        first.zip(last).forEach { (a, b) -> assertEquals(a.score, b.score, PROBABILITY_ERROR) }
        // Pixels in the other order are other pictures: that the scores above agree says something.
        val manifest = channelsFirst.manifest.let { it.copy(input = it.input.copy(layout = Layout.NHWC)) }
        val wrong = Artifact(channelsFirst.folder, manifest, FolderFiles(testFolder("artifacts")))
        assertNotEquals(first.first().label, classify(wrong).predictions.first().label)
    }

    @Test
    fun `a picture of something else is none of these`() {
        val scores = floatArrayOf(0.4f, 0.3f, 0.3f)
        assertTrue(Rejection(1.0, 0.5).rejects(scores))
        assertFalse(Rejection(1.0, 0.39).rejects(scores))
        assertTrue("0.16 / 0.34", Rejection(0.5, 0.5).rejects(scores))
        assertFalse("0.0256 / 0.0418", Rejection(0.25, 0.5).rejects(scores))
        val artifact = testArtifacts().first { it.folder == "squeezenet1.1-tflite-float32" }
        assertFalse(classify(artifact).rejected)
        val answers = listOf(0.2, 0.999).map { threshold ->
            val manifest = artifact.manifest.copy(reject = Rejection(1.0, threshold))
            classify(Artifact(artifact.folder, manifest, FolderFiles(testFolder("artifacts")))).rejected
        }
        assertEquals(listOf(false, true), answers)
    }

    @Test
    fun `equal scores keep the order of the classes`() {
        val scores = { index: Int -> if (index % 2 == 1) 0.5f else 0.25f }
        assertEquals(listOf(1, 3, 5, 7, 9), answer(scores).map { it.index })
    }

    @Test
    fun `softmax stands large logits`() {
        val probabilities = comparable(floatArrayOf(1000f, 1000f, -1000f), Content.LOGITS)
        assertEquals(listOf(0.5f, 0.5f, 0f), probabilities.toList())
    }

    @Test
    fun `an engine is closed with its classifier, and only then`() {
        val engine = Fake({ 0f }, 1000)
        val classifier = onWorker { Classifier(testArtifacts().first(), 1) { _, _ -> engine } }
        assertEquals(0, engine.closed)
        classifier.close()
        assertEquals(1, engine.closed)
    }

    @Test
    fun `a file that is not what model json says is refused`() {
        for (folder in listOf("squeezenet1.1-tflite-int8", "squeezenet1.1-onnx-float32")) {
            val artifact = testArtifacts().first { it.folder == folder }
            val file = artifact.manifest.let { it.copy(input = it.input.copy(dtype = DType.INT8)) }
            val wrong = Artifact(folder, file, FolderFiles(testFolder("artifacts")))
            val error = assertThrows(ArtifactRefused::class.java) { onWorker { openEngine(wrong, 1) } }
            assertTrue(error.message!!, "but the model file says" in error.message!!)
        }
    }

    @Test
    fun `a format without an engine is told`() {
        val artifact = testArtifacts().first()
        val other = Artifact(artifact.folder, artifact.manifest.copy(format = "coreml"), FolderFiles(testFolder("artifacts")))
        val error = assertThrows(EngineUnavailable::class.java) { onWorker { openEngine(other, 1) } }
        assertTrue(error.message!!, "no engine for coreml" in error.message!!)
    }

    @Test
    fun `nothing runs on the main thread`() {
        val artifact = testArtifacts().first()
        val classifier = onWorker { Classifier(artifact, 1) }
        val refusals = listOf(
            { openEngine(artifact, 1).close() },
            { classifier.classify({ artifact.open(artifact.manifest.golden.picture) }) },
            { Preprocessor(artifact.manifest.preprocessing).pixels(Gray) },
        )
        refusals.forEach { assertThrows(IllegalStateException::class.java) { it() } }
        classifier.close()
    }

    private fun classify(artifact: Artifact) = onWorker {
        Classifier(artifact, 2).use { it.classify({ artifact.open(artifact.manifest.golden.picture) }) }
    }

    private fun answer(scores: (Int) -> Float) = onWorker {
        val artifact = testArtifacts().first { it.folder == "squeezenet1.1-tflite-float32" }
        Classifier(artifact, 1) { _, _ -> Fake(scores, artifact.manifest.classes) }.classify(Gray).predictions
    }

    private object Gray : Picture {
        override val width = 8
        override val height = 8
        override fun readRow(y: Int, row: IntArray) = row.fill(0x808080)
    }

    private class Fake(private val scores: (Int) -> Float, private val classes: Int) : Engine {
        var closed = 0
        override val name = "fake"
        override val kernels = "xnnpack"
        override fun run(pixels: ByteArray) = FloatArray(classes, scores)
        override fun close() {
            closed++
        }
    }

    private companion object {
        const val PROBABILITY_ERROR = 1e-4f
    }
}
