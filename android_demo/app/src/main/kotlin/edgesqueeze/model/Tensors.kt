package edgesqueeze.model

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A direct buffer for [numbers] numbers of this tensor's type. */
internal fun TensorSpec.buffer(numbers: Int): ByteBuffer =
    ByteBuffer.allocateDirect(numbers * dtype.bytes).order(ByteOrder.nativeOrder())

/** Writes [pixels], RGB row by row, to [buffer] in the layout and type of this input. */
internal fun TensorSpec.write(pixels: ByteArray, buffer: ByteBuffer) {
    buffer.rewind()
    when (dtype) {
        DType.FLOAT32 -> inOrder(pixels.size) { buffer.putFloat((pixels[it].toInt() and 0xFF).toFloat()) }
        DType.UINT8, DType.INT8 -> storedPixels().let { stored ->
            inOrder(pixels.size) { buffer.put(stored[pixels[it].toInt() and 0xFF]) }
        }
    }
    buffer.rewind()
}

/** The [count] real values in [buffer], an output with this tensor's type and scale. */
internal fun TensorSpec.read(buffer: ByteBuffer, count: Int): FloatArray {
    buffer.rewind()
    return FloatArray(count) {
        when (dtype) {
            DType.FLOAT32 -> buffer.getFloat()
            DType.UINT8 -> real(buffer.get().toInt() and 0xFF)
            DType.INT8 -> real(buffer.get().toInt())
        }
    }
}

private fun TensorSpec.real(stored: Int) = scale?.let { (stored - zeroPoint) * it } ?: stored.toFloat()

/** The stored number for each value of a pixel, 0 to 255. */
private fun TensorSpec.storedPixels() = ByteArray(PIXEL_VALUES) { value ->
    val stored = scale?.let { Math.rint(value / it.toDouble()).toInt() + zeroPoint } ?: value
    val limits = if (dtype == DType.INT8) Byte.MIN_VALUE..Byte.MAX_VALUE else 0..0xFF
    stored.coerceIn(limits.first.toInt(), limits.last.toInt()).toByte()
}

/** Calls [put] with the index of each number among the pixels, in the order of the tensor. */
private inline fun TensorSpec.inOrder(size: Int, put: (Int) -> Unit) {
    if (layout == Layout.NCHW) {
        for (channel in 0 until CHANNELS) for (i in channel until size step CHANNELS) put(i)
    } else {
        for (i in 0 until size) put(i)
    }
}

private const val PIXEL_VALUES = 0xFF + 1
