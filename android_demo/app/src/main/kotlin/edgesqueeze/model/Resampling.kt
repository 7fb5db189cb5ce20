package edgesqueeze.model

import kotlin.math.ceil
import kotlin.math.floor

/** The part of a side resized to [size] pixels that is computed: [count] pixels from [first] on. */
internal class Window(val size: Int, val first: Int, val count: Int)

/** The filter that resizes pictures; the same bytes as edge_squeeze/pictures/filters.py. */
enum class Filter(val key: String) {
    BILINEAR("bilinear"),
    TF_BILINEAR("tf-bilinear"),
    NEAREST("nearest"),
    TF_NEAREST("tf-nearest"),
    BICUBIC("bicubic"),
    AREA("area"),
}

/** The given part of [picture], resized by [filter]: RGB [rows.count, columns.count, 3]. */
internal fun resize(picture: Picture, columns: Window, rows: Window, filter: Filter): ByteArray = when (filter) {
    Filter.BILINEAR -> resizeByPillow(picture, columns, rows, Kernel(1.0, ::triangle))
    Filter.BICUBIC -> resizeByPillow(picture, columns, rows, Kernel(2.0, ::cubic))
    Filter.TF_BILINEAR -> resizeBetween(picture, columns, rows)
    Filter.NEAREST -> pick(picture, pillowPositions(picture.width, columns), pillowPositions(picture.height, rows))
    Filter.TF_NEAREST -> pick(picture, tfPositions(picture.width, columns), tfPositions(picture.height, rows))
    Filter.AREA -> average(picture, columns, rows)
}

/** A function of the distance to a pixel, 0 beyond [support]. */
private class Kernel(val support: Double, val weight: (Double) -> Double)

/**
 * As by Pillow's BILINEAR or BICUBIC.
 *
 * A [kernel] whose support grows with the scale, so that nothing is skipped when the picture shrinks; first along the
 * rows, then along the columns; 8 bits in between. Weights are integers of 22 bits, which makes the result the same on
 * every machine. Android's own scaling (Bitmap.createScaledBitmap, Canvas) uses four neighbors, whatever the scale.
 */
private fun resizeByPillow(picture: Picture, columns: Window, rows: Window, kernel: Kernel): ByteArray {
    val across = Taps(picture.width, columns, kernel)
    val down = Taps(picture.height, rows, kernel)
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
private class Taps(size: Int, window: Window, kernel: Kernel) {
    val first = IntArray(window.count)
    val weights: Array<IntArray>

    init {
        val scale = size.toDouble() / window.size
        val wider = maxOf(scale, 1.0)
        val support = kernel.support * wider
        val narrower = 1.0 / wider // to multiply, not to divide, as Pillow does: even the last bit is the same
        weights = Array(window.count) { i ->
            val centre = (window.first + i + HALF) * scale
            val from = (centre - support + HALF).toInt().coerceAtLeast(0)
            val until = (centre + support + HALF).toInt().coerceAtMost(size)
            first[i] = from
            integers(DoubleArray(until - from) { kernel.weight((from + it - centre + HALF) * narrower) })
        }
    }
}

private fun triangle(x: Double) = maxOf(0.0, 1.0 - Math.abs(x))

private fun cubic(distance: Double): Double {
    val x = Math.abs(distance)
    return when {
        x < 1.0 -> ((SHARPNESS + 2.0) * x - (SHARPNESS + 3.0)) * x * x + 1.0
        x < 2.0 -> (((x - 5.0) * x + 8.0) * x - 4.0) * SHARPNESS
        else -> 0.0
    }
}

private fun integers(weights: DoubleArray): IntArray {
    val sum = weights.sum()
    return IntArray(weights.size) {
        val weight = weights[it] / sum
        ((if (weight < 0) -HALF else HALF) + weight * (1 shl WEIGHT_BITS)).toInt()
    }
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

/** The pixel at (i + 0.5) * scale for each resized one; the scale is added up, as Pillow does. */
private fun pillowPositions(size: Int, window: Window): IntArray {
    val scale = size.toDouble() / window.size
    var at = scale * HALF
    val all = IntArray(window.first + window.count) { at.toInt().also { at += scale } }
    return all.copyOfRange(window.first, all.size)
}

/** The same, multiplied in 32 bits, as TensorFlow does: another pixel where (i + 0.5) * scale is whole. */
private fun tfPositions(size: Int, window: Window): IntArray {
    val scale = size.toFloat() / window.size.toFloat()
    return IntArray(window.count) { ((window.first + it + HALF_F) * scale).toInt().coerceAtMost(size - 1) }
}

private fun pick(picture: Picture, columns: IntArray, rows: IntArray): ByteArray {
    val pixels = ByteArray(rows.size * columns.size * CHANNELS)
    val row = IntArray(picture.width)
    var out = 0
    for (y in rows) {
        picture.readRow(y, row)
        for (x in columns) {
            for (shift in SHIFTS) pixels[out++] = (row[x] shr shift).toByte()
        }
    }
    return pixels
}

/** The pixels before and behind the resized ones, and the weight of those behind, as tf.image.resize computes them. */
private class Neighbors(size: Int, window: Window) {
    val before = IntArray(window.count)
    val behind = IntArray(window.count)
    val weight = LongArray(window.count)

    init {
        val scale = size.toFloat() / window.size.toFloat()
        for (i in 0 until window.count) {
            val at = (window.first + i + HALF_F) * scale - HALF_F
            val first = floor(at)
            before[i] = first.toInt().coerceIn(0, size - 1)
            behind[i] = ceil(at).toInt().coerceIn(0, size - 1)
            weight[i] = floor((at - first).toDouble() * WHOLE + HALF).toLong()
        }
    }
}

/** As by tf.image.resize's bilinear, rounded: from the four pixels around each resized one, whatever the scale. */
private fun resizeBetween(picture: Picture, columns: Window, rows: Window): ByteArray {
    val across = Neighbors(picture.width, columns)
    val down = Neighbors(picture.height, rows)
    val pixels = ByteArray(rows.count * columns.count * CHANNELS)
    val above = IntArray(picture.width)
    val below = IntArray(picture.width)
    var out = 0
    for (y in 0 until rows.count) {
        picture.readRow(down.before[y], above)
        picture.readRow(down.behind[y], below)
        val weight = down.weight[y]
        for (x in 0 until columns.count) {
            for (shift in SHIFTS) {
                val sum = across.mix(above, x, shift) * (WHOLE - weight) + across.mix(below, x, shift) * weight
                pixels[out++] = (sum + (1L shl 2 * WEIGHT_BITS - 1) shr 2 * WEIGHT_BITS).toByte()
            }
        }
    }
    return pixels
}

private fun Neighbors.mix(row: IntArray, x: Int, shift: Int): Long =
    (row[before[x]] shr shift and 0xFF) * (WHOLE - weight[x]) + (row[behind[x]] shr shift and 0xFF) * weight[x]

/** The mean of what each resized pixel covers, parts of pixels by their share: in integers, rounded once. */
private fun average(picture: Picture, columns: Window, rows: Window): ByteArray {
    val pixels = ByteArray(rows.count * columns.count * CHANNELS)
    val count = picture.width.toLong() * picture.height
    val row = IntArray(picture.width)
    var out = 0
    for (y in 0 until rows.count) {
        val sums = LongArray(columns.count * CHANNELS)
        covered(rows.first + y, picture.height, rows.size) { line, share ->
            picture.readRow(line, row)
            addAverages(row, columns, share, sums)
        }
        for (sum in sums) pixels[out++] = ((2 * sum + count) / (2 * count)).toByte()
    }
    return pixels
}

private fun addAverages(row: IntArray, columns: Window, share: Long, sums: LongArray) {
    for (x in 0 until columns.count) {
        covered(columns.first + x, row.size, columns.size) { at, part ->
            SHIFTS.forEachIndexed { channel, shift ->
                sums[x * CHANNELS + channel] += (row[at] shr shift and 0xFF) * part * share
            }
        }
    }
}

/** Calls [use] with each pixel of a side that the resized pixel [i] covers, and how much of it in parts of 1 / [size]. */
private inline fun covered(i: Int, side: Int, size: Int, use: (Int, Long) -> Unit) {
    val from = i.toLong() * side
    val until = from + side
    for (at in (from / size).toInt()..((until - 1) / size).toInt()) {
        use(at, minOf(until, (at + 1L) * size) - maxOf(from, at.toLong() * size))
    }
}

private val SHIFTS = intArrayOf(16, 8, 0) // red, green, blue in 0xRRGGBB
private const val SHARPNESS = -0.5 // of the cubic
private const val HALF = 0.5
private const val HALF_F = 0.5f
private const val WEIGHT_BITS = 22 // Pillow's 32 - 8 bits of a pixel - 2 to spare
private const val WHOLE = 1L shl WEIGHT_BITS
private const val ROUND = 1 shl (WEIGHT_BITS - 1)
