package edgesqueeze.model

import java.io.BufferedInputStream
import java.io.DataInputStream
import java.io.EOFException
import java.io.InputStream

/**
 * Throws PictureUnreadable if a JPEG or PNG file ends before the picture does; other formats pass.
 *
 * BitmapFactory silently fills the missing part with gray.
 */
internal fun requireWhole(stream: InputStream) {
    val data = DataInputStream(BufferedInputStream(stream, BUFFER_BYTES))
    try {
        when (data.readUnsignedShort()) {
            JPEG -> requireEndOfJpeg(data)
            PNG -> requireEndOfPng(data)
        }
    } catch (error: EOFException) {
        throw PictureUnreadable("The picture is incomplete: its file ends too early.", error)
    }
}

/** Reads the segments up to the end marker (ITU-T T.81, annex B); what follows it, such as a video, is ignored. */
private fun requireEndOfJpeg(data: DataInputStream) {
    var marker = nextMarker(data)
    while (marker != END_OF_IMAGE) {
        if (marker !in WITHOUT_LENGTH) skip(data, data.readUnsignedShort() - 2L)
        marker = nextMarker(data)
    }
}

/** The next marker; skips compressed data before it, in which 0xFF is followed by 0. */
private fun nextMarker(data: DataInputStream): Int {
    while (true) {
        while (data.readUnsignedByte() != 0xFF) Unit
        var code = data.readUnsignedByte()
        while (code == 0xFF) code = data.readUnsignedByte()
        if (code != 0) return code
    }
}

/** Reads the chunks up to IEND (PNG specification, section 5). */
private fun requireEndOfPng(data: DataInputStream) {
    skip(data, PNG_SIGNATURE_REST)
    do {
        val length = data.readInt()
        val type = data.readInt()
        skip(data, (length.toLong() and 0xFFFFFFFF) + CHECKSUM_BYTES)
    } while (type != IEND)
}

private fun skip(data: DataInputStream, count: Long) {
    var left = count
    while (left > 0) {
        val skipped = data.skip(left)
        if (skipped == 0L) data.readUnsignedByte() // at the end, this throws
        left -= maxOf(skipped, 1)
    }
}

private const val BUFFER_BYTES = 1 shl 16
private const val JPEG = 0xFFD8
private const val END_OF_IMAGE = 0xD9
private val WITHOUT_LENGTH = setOf(0x01) + (0xD0..0xD8) // TEM, restarts, start of image
private const val PNG = 0x8950
private const val PNG_SIGNATURE_REST = 6L
private const val CHECKSUM_BYTES = 4L
private const val IEND = 0x49454E44
