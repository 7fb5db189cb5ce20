package edgesqueeze.demo

import android.graphics.Bitmap
import edgesqueeze.model.CHANNELS
import edgesqueeze.model.Filter
import edgesqueeze.model.Picture
import edgesqueeze.model.Window
import edgesqueeze.model.requireWorkerThread
import edgesqueeze.model.resize
import kotlin.math.roundToInt

/** [picture] for the screen: opaque, its longer side at most [longest] pixels. */
internal fun preview(picture: Picture, longest: Int = 1024): Bitmap {
    requireWorkerThread("Making a preview")
    val scale = minOf(1f, longest.toFloat() / maxOf(picture.width, picture.height))
    val width = (picture.width * scale).roundToInt().coerceAtLeast(1)
    val height = (picture.height * scale).roundToInt().coerceAtLeast(1)
    val pixels = resize(picture, Window(width, 0, width), Window(height, 0, height), Filter.BILINEAR)
    val colors = IntArray(width * height) { opaque(pixels, it * CHANNELS) }
    return Bitmap.createBitmap(colors, width, height, Bitmap.Config.ARGB_8888).apply { setHasAlpha(false) }
}

private fun opaque(pixels: ByteArray, start: Int) =
    OPAQUE or (channel(pixels, start) shl 16) or (channel(pixels, start + 1) shl 8) or channel(pixels, start + 2)

private fun channel(pixels: ByteArray, at: Int) = pixels[at].toInt() and 0xFF

private const val OPAQUE = 0xFF shl 24
