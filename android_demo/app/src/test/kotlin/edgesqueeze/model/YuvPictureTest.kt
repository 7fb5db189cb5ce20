package edgesqueeze.model

import java.nio.ByteBuffer
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class YuvPictureTest {

    @Test
    fun `colors are those of a JPEG with the same numbers`() {
        // brightness, blue and red differences; red, green and blue as libjpeg (through Pillow) gives them
        val table = listOf(
            listOf(76, 85, 255) to listOf(254, 0, 0),
            listOf(150, 44, 21) to listOf(0, 255, 1),
            listOf(29, 255, 107) to listOf(0, 0, 254),
            listOf(0, 128, 128) to listOf(0, 0, 0),
            listOf(255, 128, 128) to listOf(255, 255, 255),
            listOf(126, 90, 183) to listOf(203, 99, 58),
        )
        for ((yuv, rgb) in table) {
            val row = IntArray(2)
            frame(2, 2, { yuv[0] }, yuv[1], yuv[2]).readRow(1, row)
            val got = listOf(16, 8, 0).map { row[1] shr it and 0xFF }
            assertTrue("$yuv: $got, not $rgb", got.zip(rgb).all { (a, b) -> abs(a - b) <= 1 })
        }
    }

    @Test
    fun `a frame is turned upright`() {
        val upright = mapOf(
            0 to "012345 6789AB", 90 to "60 71 82 93 A4 B5", 180 to "BA9876 543210", 270 to "5B 4A 39 28 17 06",
        )
        for ((degrees, rows) in upright) {
            val picture = frame(6, 2, { it }, orientation = Orientation.ofRotation(degrees))
            assertEquals(rows, rows(picture))
        }
    }

    @Test
    fun `strides wider than the picture are followed`() {
        val luma = Plane(ByteBuffer.wrap(ByteArray(40) { it.toByte() }), 10, 2)
        assertEquals(listOf(0, 2, 10, 34), listOf(0 to 0, 1 to 0, 0 to 1, 2 to 3).map { (x, y) -> luma.at(x, y) })
    }

    private fun rows(picture: Picture): String {
        val row = IntArray(picture.width)
        return (0 until picture.height).joinToString(" ") { y ->
            picture.readRow(y, row)
            row.joinToString("") { (it and 0xFF).toString(HEXADECIMAL).uppercase() }
        }
    }

    /** A frame in which the brightness of the n-th pixel is [light] of n. */
    private fun frame(
        width: Int,
        height: Int,
        light: (Int) -> Int,
        blue: Int = GREY,
        red: Int = GREY,
        orientation: Orientation = Orientation.UPRIGHT,
    ): YuvPicture {
        val luma = ByteBuffer.wrap(ByteArray(width * height) { light(it).toByte() })
        val (u, v) = listOf(blue, red).map { value ->
            Plane(ByteBuffer.wrap(ByteArray(width * height) { value.toByte() }), width, 2)
        }
        return YuvPicture(width, height, orientation, Plane(luma, width, 1), u, v)
    }

    private companion object {
        const val GREY = 128
        const val HEXADECIMAL = 16
    }
}
