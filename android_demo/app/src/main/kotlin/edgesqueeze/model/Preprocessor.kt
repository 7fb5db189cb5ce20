package edgesqueeze.model

/** Computes the pixels that a model needs from a picture, the same bytes as edge_squeeze/pictures/preprocessing.py. */
class Preprocessor(private val rule: Preprocessing) {

    /** The pixels of [picture], resized, cropped and padded: RGB, row by row [H,W,3]. */
    fun pixels(picture: Picture): ByteArray {
        requireWorkerThread("Preprocessing")
        val (width, height) = resized(picture.width, picture.height)
        val columns = Window(width, (width - rule.cropWidth) / 2, rule.cropWidth)
        val rows = Window(height, (height - rule.cropHeight) / 2, rule.cropHeight)
        return padded(resize(picture, columns, rows, rule.filter))
    }

    private fun resized(width: Int, height: Int): Pair<Int, Int> {
        if (rule.resize == Resize.STRETCH) return rule.cropWidth to rule.cropHeight
        val short = minOf(width, height)
        return scaled(width, short) to scaled(height, short)
    }

    private fun scaled(side: Int, short: Int) = ((side.toLong() * rule.shortSide + short / 2) / short).toInt()

    private fun padded(pixels: ByteArray): ByteArray {
        if (rule.pad == Padding(0, 0, 0, 0)) return pixels
        val all = ByteArray(rule.height * rule.width * CHANNELS) { rule.padValue[it % CHANNELS].toByte() }
        val rowBytes = rule.cropWidth * CHANNELS
        for (y in 0 until rule.cropHeight) {
            val start = ((y + rule.pad.top) * rule.width + rule.pad.left) * CHANNELS
            pixels.copyInto(all, start, y * rowBytes, (y + 1) * rowBytes)
        }
        return all
    }
}
