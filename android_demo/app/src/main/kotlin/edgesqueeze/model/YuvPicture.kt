package edgesqueeze.model

import java.nio.ByteBuffer

/** One plane of a camera's frame: the number of (x, y) is at y * [rowStride] + x * [pixelStride]. */
class Plane(private val bytes: ByteBuffer, private val rowStride: Int, private val pixelStride: Int) {
    /** The number at column [x] of row [y], 0 to 255. */
    fun at(x: Int, y: Int) = bytes.get(y * rowStride + x * pixelStride).toInt() and 0xFF
}

/**
 * A camera's frame in YUV_420_888: a plane of luma, and two of chroma with half the sides.
 *
 * The numbers are those of JPEG (JFIF: ITU-R BT.601, full range), as Camera2 delivers them.
 */
class YuvPicture(
    private val frameWidth: Int,
    private val frameHeight: Int,
    orientation: Orientation,
    private val luma: Plane,
    private val blue: Plane,
    private val red: Plane,
) : StoredPicture(frameWidth, frameHeight, orientation) {

    override fun readStoredRow(y: Int, row: IntArray) {
        for (x in 0 until frameWidth) row[x] = color(x, y)
    }

    override fun readStoredColumn(x: Int, column: IntArray) {
        for (y in 0 until frameHeight) column[y] = color(x, y)
    }

    private fun color(x: Int, y: Int): Int {
        val light = luma.at(x, y) shl BITS
        val u = blue.at(x / 2, y / 2) - MIDDLE
        val v = red.at(x / 2, y / 2) - MIDDLE
        val r = channel(light + RED_OF_V * v)
        val g = channel(light - GREEN_OF_U * u - GREEN_OF_V * v)
        return (r shl 16) or (g shl 8) or channel(light + BLUE_OF_U * u)
    }

    private fun channel(sum: Int) = ((sum + HALF) shr BITS).coerceIn(0, 0xFF)

    private companion object {
        const val BITS = 16
        const val HALF = 1 shl (BITS - 1)
        const val MIDDLE = 128
        const val RED_OF_V = 91881 // 1.402 * 2^16, and so on
        const val GREEN_OF_U = 22554 // 0.344136
        const val GREEN_OF_V = 46802 // 0.714136
        const val BLUE_OF_U = 116130 // 1.772
    }
}
