package edgesqueeze.model

import android.annotation.TargetApi
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import android.media.ExifInterface
import android.os.Build
import java.io.IOException
import java.io.InputStream

/** An encoded picture that can be opened more than once. */
fun interface PictureSource {
    fun open(): InputStream
}

/** Decodes pictures to the values in the file: no scaling and no color management, as in Pillow and in training. */
object PictureDecoder {
    /** Larger pictures are halved until they fit; their pixels differ a little from Python's. */
    private const val MOST_PIXELS = 25_000_000L

    /** The picture in [source], upright; throws PictureUnreadable if it is not a picture, or incomplete. */
    fun decode(source: PictureSource): BitmapPicture {
        requireWorkerThread("Decoding")
        return try {
            val options = options(source)
            source.open().use(::requireWhole)
            val bitmap = source.open().use { BitmapFactory.decodeStream(it, null, options) } ?: throw noPicture(null)
            BitmapPicture(unmanaged(bitmap), source.open().use(::orientation))
        } catch (error: PictureUnreadable) {
            throw error
        } catch (error: IOException) {
            throw PictureUnreadable("Cannot open the picture: ${error.message}.", error)
        } catch (error: SecurityException) {
            throw PictureUnreadable("The app no longer has access to this picture. Pick it again.", error)
        } catch (error: OutOfMemoryError) {
            throw PictureUnreadable("The picture is too large for this device's memory.", error)
        }
    }

    private fun options(source: PictureSource): BitmapFactory.Options {
        val options = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        source.open().use { BitmapFactory.decodeStream(it, null, options) }
        if (options.outWidth < 1 || options.outHeight < 1) throw noPicture(options.outMimeType)
        val pixels = options.outWidth.toLong() * options.outHeight
        return BitmapFactory.Options().apply {
            inPreferredConfig = Bitmap.Config.ARGB_8888
            inPremultiplied = false // multiplying by alpha and dividing again would lose bits
            inScaled = false
            inSampleSize = generateSequence(1) { it * 2 }.first { pixels / (it.toLong() * it) <= MOST_PIXELS }
        }
    }

    /** [bitmap] with its values treated as sRGB, whatever profile the file has; otherwise reading converts them. */
    private fun unmanaged(bitmap: Bitmap): Bitmap {
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) takeAsSrgb(bitmap)
        return bitmap
    }

    @TargetApi(Build.VERSION_CODES.Q)
    private fun takeAsSrgb(bitmap: Bitmap) = try {
        bitmap.setColorSpace(ColorSpace.get(ColorSpace.Named.SRGB))
    } catch (_: IllegalArgumentException) { // a wider range than sRGB's, which can only be converted
    }

    private fun orientation(stream: InputStream): Orientation = try {
        Orientation.ofExif(ExifInterface(stream).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1))
    } catch (_: IOException) { // a format that has no EXIF
        Orientation.UPRIGHT
    }

    private fun noPicture(type: String?) =
        PictureUnreadable("This file is not a picture that this device can decode${type?.let { " ($it)" }.orEmpty()}.")
}
