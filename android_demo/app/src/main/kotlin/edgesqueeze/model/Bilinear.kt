package edgesqueeze.model

/** The part of a side resized to [size] pixels that is computed: [count] pixels from [first] on. */
internal class Window(val size: Int, val first: Int, val count: Int)

/**
 * The given part of [picture], resized as by Pillow's BILINEAR: RGB [rows.count, columns.count, 3].
 *
 * A triangle filter whose support grows with the scale, so that nothing is skipped when the picture shrinks; first along
 * the rows, then along the columns; 8 bits in between. Weights are integers of 22 bits, which makes the result the same
 * on every machine. Android's own scaling (Bitmap.createScaledBitmap, Canvas) uses four neighbors, whatever the scale.
 */
internal fun resizeBilinear(picture: Picture, columns: Window, rows: Window): ByteArray {
    val across = Taps(picture.width, columns)
    val down = Taps(picture.height, rows)
    val top = down.first.first()
    val bottom = down.first.last() + down.weights.last().size
    val strip = ByteArray((bottom - top) * columns.count * CHANNELS)
    val row = IntArray(picture.width)
    for (y in top until bottom) {
        picture.readRow(y, row)
        shrinkRow(row, across, strip, (y - top) * columns.count * CHANNELS)
    }
    return shrinkColumns(strip, columns.count * CHANNELS, down, top)
}

/** The pixels of a side of [size] from which each resized pixel is computed, and their weights. */
private class Taps(size: Int, window: Window) {
    val first = IntArray(window.count)
    val weights: Array<IntArray>

    init {
        val scale = size.toDouble() / window.size
        val support = maxOf(scale, 1.0)
        val narrower = 1.0 / support // to multiply, not to divide, as Pillow does: even the last bit is the same
        weights = Array(window.count) { i ->
            val centre = (window.first + i + HALF) * scale
            val from = (centre - support + HALF).toInt().coerceAtLeast(0)
            val until = (centre + support + HALF).toInt().coerceAtMost(size)
            first[i] = from
            integers(DoubleArray(until - from) { triangle((from + it - centre + HALF) * narrower) })
        }
    }
}

private fun triangle(x: Double) = maxOf(0.0, 1.0 - Math.abs(x))

private fun integers(weights: DoubleArray): IntArray {
    val sum = weights.sum()
    return IntArray(weights.size) { (HALF + weights[it] / sum * (1 shl WEIGHT_BITS)).toInt() }
}

private fun shrinkRow(row: IntArray, taps: Taps, into: ByteArray, start: Int) {
    var out = start
    for (i in taps.first.indices) {
        val weights = taps.weights[i]
        var red = ROUND
        var green = ROUND
        var blue = ROUND
        var x = taps.first[i]
        for (weight in weights) {
            val color = row[x++]
            red += (color shr 16 and 0xFF) * weight
            green += (color shr 8 and 0xFF) * weight
            blue += (color and 0xFF) * weight
        }
        into[out++] = clip(red)
        into[out++] = clip(green)
        into[out++] = clip(blue)
    }
}

private fun shrinkColumns(strip: ByteArray, rowBytes: Int, taps: Taps, top: Int): ByteArray {
    val pixels = ByteArray(taps.first.size * rowBytes)
    val sums = IntArray(rowBytes)
    for (y in taps.first.indices) {
        sums.fill(ROUND)
        taps.weights[y].forEachIndexed { j, weight ->
            val start = (taps.first[y] - top + j) * rowBytes
            for (i in 0 until rowBytes) sums[i] += (strip[start + i].toInt() and 0xFF) * weight
        }
        for (i in 0 until rowBytes) pixels[y * rowBytes + i] = clip(sums[i])
    }
    return pixels
}

private fun clip(sum: Int) = (sum shr WEIGHT_BITS).coerceIn(0, 0xFF).toByte()

private const val HALF = 0.5
private const val WEIGHT_BITS = 22 // Pillow's 32 - 8 bits of a pixel - 2 to spare
private const val ROUND = 1 shl (WEIGHT_BITS - 1)
