package edgesqueeze.model

import android.graphics.Bitmap

/** Red, green, blue. */
const val CHANNELS = 3

/** A picture as it is to be shown: upright and opaque. */
interface Picture {
    val width: Int
    val height: Int

    /** Writes row [y], counted from the top, to [row] as 0xRRGGBB; ignore the bits above these 24. */
    fun readRow(y: Int, row: IntArray)
}

/**
 * The orientation of the stored pixels: the rows of the upright picture are the stored rows or, if [transposed], the
 * columns; counted from the last if [fromEnd]; each read backwards if [reversed].
 */
enum class Orientation(val transposed: Boolean, val fromEnd: Boolean, val reversed: Boolean) {
    UPRIGHT(false, false, false),
    MIRRORED(false, false, true),
    ROTATED_180(false, true, true),
    FLIPPED(false, true, false),
    TRANSPOSED(true, false, false),
    ROTATED_90(true, false, true),
    TRANSVERSED(true, true, true),
    ROTATED_270(true, true, false),
    ;

    companion object {
        /** The orientation with the EXIF tag [tag], 1 to 8; upright for any other number. */
        fun ofExif(tag: Int) = values().getOrElse(tag - 1) { UPRIGHT }

        /** The orientation of pixels that become upright when rotated by [degrees] clockwise, a multiple of 90. */
        fun ofRotation(degrees: Int) =
            listOf(UPRIGHT, ROTATED_90, ROTATED_180, ROTATED_270)[Math.floorMod(degrees, FULL_TURN) / QUARTER]

        private const val FULL_TURN = 360
        private const val QUARTER = 90
    }
}

/** A picture whose stored pixels are rotated while they are read, so that memory holds them only once. */
abstract class StoredPicture(
    private val storedWidth: Int,
    private val storedHeight: Int,
    private val orientation: Orientation,
) : Picture {
    final override val width = if (orientation.transposed) storedHeight else storedWidth
    final override val height = if (orientation.transposed) storedWidth else storedHeight

    final override fun readRow(y: Int, row: IntArray) {
        val line = if (orientation.fromEnd) height - 1 - y else y
        if (orientation.transposed) readStoredColumn(line, row) else readStoredRow(line, row)
        if (orientation.reversed) row.reverse(0, width)
    }

    protected abstract fun readStoredRow(y: Int, row: IntArray)

    protected abstract fun readStoredColumn(x: Int, column: IntArray)
}

/** A decoded file. */
class BitmapPicture(private val bitmap: Bitmap, orientation: Orientation) :
    StoredPicture(bitmap.width, bitmap.height, orientation) {

    override fun readStoredRow(y: Int, row: IntArray) {
        bitmap.getPixels(row, 0, bitmap.width, 0, y, bitmap.width, 1)
        if (bitmap.hasAlpha()) putOnWhite(row, bitmap.width)
    }

    override fun readStoredColumn(x: Int, column: IntArray) {
        bitmap.getPixels(column, 0, 1, x, 0, 1, bitmap.height)
        if (bitmap.hasAlpha()) putOnWhite(column, bitmap.height)
    }

    /** Frees the pixels immediately: until the garbage collector does, the next picture might not fit in memory. */
    fun recycle() = bitmap.recycle()
}

private fun putOnWhite(colors: IntArray, count: Int) {
    for (i in 0 until count) colors[i] = onWhite(colors[i])
}

/** [color], not premultiplied, on white, rounded as Pillow's Image.paste does. */
private fun onWhite(color: Int): Int {
    val alpha = color ushr 24
    return (blend(color shr 16, alpha) shl 16) or (blend(color shr 8, alpha) shl 8) or blend(color, alpha)
}

private fun blend(channel: Int, alpha: Int): Int {
    val sum = (channel and 0xFF) * alpha + 0xFF * (0xFF - alpha) + 0x80
    return (sum + (sum shr 8)) shr 8
}
