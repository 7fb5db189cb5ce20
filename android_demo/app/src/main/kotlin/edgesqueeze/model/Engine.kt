package edgesqueeze.model

/** A model, loaded. */
interface Engine : AutoCloseable {
    /** Name and version, for people. */
    val name: String

    /** The family of kernels that computes: golden scores are kept for each. */
    val kernels: String

    /** The scores that the model gives for [pixels], RGB row by row. */
    fun run(pixels: ByteArray): FloatArray
}

/** What loads a model of one format, and why it cannot where it cannot. */
class EngineKind(
    val name: String,
    val unavailable: () -> String?,
    val load: (artifact: Artifact, threads: Int) -> Engine,
)

/** The engine for each format of artifacts. */
val ENGINES = mapOf(
    "tflite" to EngineKind("TensorFlow Lite", TfliteEngine::unavailable, ::TfliteEngine),
    "onnx" to EngineKind("ONNX Runtime", OnnxEngine::unavailable, ::OnnxEngine),
)

/** Why no engine of this app runs artifacts of [format]; null if one does. */
fun whyUnavailable(format: String): String? {
    val kind = ENGINES[format] ?: return "This app has no engine for $format. It runs ${ENGINES.keys.joinToString()}"
    return kind.unavailable()
}

/**
 * [artifact], loaded into the engine for its format.
 *
 * Throws EngineUnavailable where the app lacks the engine, ArtifactRefused where the engine does not take the file.
 */
fun openEngine(artifact: Artifact, threads: Int): Engine {
    requireWorkerThread("Loading a model")
    val format = artifact.manifest.format
    whyUnavailable(format)?.let { throw EngineUnavailable(it) }
    return try {
        ENGINES.getValue(format).load(artifact, threads)
    } catch (error: ArtifactRefused) {
        throw error
    } catch (@Suppress("TooGenericExceptionCaught") error: Exception) { // engines raise what they like
        throw ArtifactRefused("Cannot run ${artifact.manifest.file.name}: ${error.message}.", error)
    }
}
