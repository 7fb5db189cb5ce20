package edgesqueeze.model

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo

/** An .onnx file in ONNX Runtime, on the processor. */
class OnnxEngine(artifact: Artifact, threads: Int) : Engine {
    private val manifest = artifact.manifest
    private val environment = OrtEnvironment.getEnvironment()
    private val session = OrtSession.SessionOptions().use { options ->
        options.setIntraOpNumThreads(threads)
        environment.createSession(artifact.model(), options)
    }
    private val shape = manifest.input.shape.map { (it ?: 1).toLong() }.toLongArray()
    private val input = manifest.input.buffer(shape.reduce(Long::times).toInt())

    override val name = "ONNX Runtime ${environment.version}"
    override val kernels = "onnxruntime"

    init {
        try {
            requireSame(manifest.input, session.inputInfo[manifest.input.name]?.info as? TensorInfo)
            requireSame(manifest.output, session.outputInfo[manifest.output.name]?.info as? TensorInfo)
        } catch (error: ArtifactRefused) {
            close()
            throw error
        }
    }

    override fun run(pixels: ByteArray): FloatArray {
        requireWorkerThread("Inference")
        manifest.input.write(pixels, input)
        OnnxTensor.createTensor(environment, input, shape, manifest.input.dtype.java()).use { tensor ->
            session.run(mapOf(manifest.input.name to tensor), setOf(manifest.output.name)).use { results ->
                return manifest.output.read((results[0] as OnnxTensor).byteBuffer, manifest.classes)
            }
        }
    }

    override fun close() = session.close()

    companion object {
        /** Why this build cannot run .onnx files; null if it can. */
        fun unavailable(): String? = try {
            OrtEnvironment.getEnvironment()
            null
        } catch (_: LinkageError) {
            "This app does not include ONNX Runtime's library: build it with Android Studio"
        }
    }
}

private fun requireSame(spec: TensorSpec, info: TensorInfo?) {
    val required = spec.shape.map { it ?: OPEN } to spec.dtype.java()
    val got = info?.let { it.shape.map(Long::toInt) to it.type }
    if (required != got) {
        throw ArtifactRefused("model.json says that ${spec.name} is $required, but the model file says $got. Export it again.")
    }
}

private fun DType.java() = when (this) {
    DType.FLOAT32 -> OnnxJavaType.FLOAT
    DType.UINT8 -> OnnxJavaType.UINT8
    DType.INT8 -> OnnxJavaType.INT8
}

private const val OPEN = -1
