package edgesqueeze.model

/** A loaded model. */
interface Engine : AutoCloseable {
    /** Name and version, to show to users. */
    val name: String

    /** The family of kernels in use; each has its own golden scores. */
    val kernels: String

    /** The scores of the model for [pixels], RGB row by row. */
    fun run(pixels: ByteArray): FloatArray
}

/** Loads models of one format, or says why that is not possible. */
class EngineKind(
    val name: String,
    val unavailable: () -> String?,
    val load: (artifact: Artifact, threads: Int) -> Engine,
)

/** The engine for each artifact format. */
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
 * Throws EngineUnavailable if the app lacks the engine, ArtifactRefused if the engine does not accept the file.
 */
fun openEngine(artifact: Artifact, threads: Int): Engine {
    requireWorkerThread("Loading a model")
    val format = artifact.manifest.format
    whyUnavailable(format)?.let { throw EngineUnavailable(it) }
    return try {
        ENGINES.getValue(format).load(artifact, threads)
    } catch (error: ArtifactRefused) {
        throw error
    } catch (@Suppress("TooGenericExceptionCaught") error: Exception) { // engines throw various exceptions
        throw ArtifactRefused("Cannot run ${artifact.manifest.file.name}: ${error.message}.", error)
    }
}
