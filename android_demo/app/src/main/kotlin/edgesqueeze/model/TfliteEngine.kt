package edgesqueeze.model

import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor
import org.tensorflow.lite.TensorFlowLite

/** A .tflite file in TensorFlow Lite (LiteRT), with the kernels of XNNPACK. */
class TfliteEngine(artifact: Artifact, threads: Int) : Engine {
    private val manifest = artifact.manifest
    private val model = artifact.model() // the interpreter reads from it until it is closed
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(threads).setUseXNNPACK(true))
    private val input = manifest.input.buffer(interpreter.getInputTensor(0).numElements())
    private val output = manifest.output.buffer(manifest.classes)

    override val name = "TensorFlow Lite ${TensorFlowLite.runtimeVersion()}"
    override val kernels = "xnnpack"

    init {
        try {
            requireSame(manifest.input, interpreter.getInputTensor(0))
            requireSame(manifest.output, interpreter.getOutputTensor(0))
        } catch (error: ArtifactRefused) {
            close()
            throw error
        }
    }

    override fun run(pixels: ByteArray): FloatArray {
        requireWorkerThread("Inference")
        manifest.input.write(pixels, input)
        output.rewind()
        interpreter.run(input, output)
        return manifest.output.read(output, manifest.classes)
    }

    override fun close() = interpreter.close()

    companion object {
        /** Why this build cannot run .tflite files; null if it can. */
        fun unavailable(): String? = try {
            TensorFlowLite.init()
            null
        } catch (error: LinkageError) {
            "This app does not include TensorFlow Lite's library for this device's processor (${error.message})"
        }
    }
}

private fun requireSame(spec: TensorSpec, tensor: Tensor) {
    val required = spec.shape.map { it ?: 1 } to spec.dtype
    val got = tensor.shape().toList() to tensor.dataType().dtype()
    if (required != got) {
        throw ArtifactRefused("model.json says that ${spec.name} is $required, but the model file says $got. Export it again.")
    }
}

private fun DataType.dtype() = when (this) {
    DataType.FLOAT32 -> DType.FLOAT32
    DataType.UINT8 -> DType.UINT8
    DataType.INT8 -> DType.INT8
    else -> null
}
