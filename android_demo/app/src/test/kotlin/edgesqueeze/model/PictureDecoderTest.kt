package edgesqueeze.model

import java.io.ByteArrayInputStream
import java.io.File
import java.io.FileNotFoundException
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class PictureDecoderTest {

    @Test
    fun `a picture cut off anywhere is told, not shown half gray`() {
        for (name in listOf("photo.jpg", "progressive.jpg", "gray.jpg", "noise.png")) {
            val bytes = picture(name).readBytes()
            for (part in 1..9) {
                val cut = bytes.copyOf(bytes.size * part / 10)
                assertUnreadable("$name, $part of 10") { ByteArrayInputStream(cut) }
            }
        }
    }

    @Test
    fun `what follows the end of a picture, as a moving one's video, is no reason`() {
        for (name in listOf("photo.jpg", "progressive.jpg", "noise.png")) {
            val bytes = picture(name).readBytes() + ByteArray(1000) { it.toByte() }
            val (whole, more) = listOf(picture(name).readBytes(), bytes).map { data ->
                val rule = vectors().first().rule
                rule.pixels { ByteArrayInputStream(data) }
            }
            assertTrue(name, whole.contentEquals(more))
        }
    }

    @Test
    fun `files that are no picture are told`() {
        for (bytes in listOf(ByteArray(0), ByteArray(1), "a text".toByteArray(), ByteArray(9999) { -1 })) {
            assertUnreadable("${bytes.size} bytes") { ByteArrayInputStream(bytes) }
        }
    }

    @Test
    fun `a file that cannot be opened is told`() {
        assertUnreadable("missing") { throw FileNotFoundException("gone") }
        assertUnreadable("forbidden") { throw SecurityException("no") }
    }

    @Test
    fun `nothing is decoded on the main thread`() {
        val error = assertThrows(IllegalStateException::class.java) {
            PictureDecoder.decode { picture("photo.jpg").inputStream() }
        }
        assertTrue(error.message!!, "Decoding" in error.message!!)
    }

    @Test
    fun `a picture of 12 megapixels is not held twice`() {
        val large = vectors().first { it.name.endsWith("large.jpg") }
        val grown = List(TIMES) { memoryTaken { large.rule.pixels(large.picture) } }.max()
        println("a picture of $LARGE_PIXELS pixels took $grown bytes at most")
        assertTrue("$grown bytes", grown < 2 * LARGE_PIXELS * BYTES_PER_PIXEL)
        assertTrue("$grown bytes: nothing was measured", grown > LARGE_PIXELS)
    }

    private fun assertUnreadable(what: String, source: PictureSource) {
        val error = assertThrows(what, PictureUnreadable::class.java) { onWorker { PictureDecoder.decode(source) } }
        assertTrue(what, error.message!!.endsWith("."))
    }

    /** By how many bytes [work] made this process larger, at most; what others free meanwhile makes it less. */
    private fun memoryTaken(work: () -> Unit): Long {
        System.gc()
        File("/proc/self/clear_refs").writeText(RESET_PEAK)
        val before = memoryBytes("VmRSS")
        work()
        return memoryBytes("VmHWM") - before
    }

    private fun memoryBytes(key: String): Long {
        val line = File("/proc/self/status").readLines().first { it.startsWith(key) }
        return line.filter(Char::isDigit).toLong() * 1024
    }

    private fun picture(name: String) = testFolder("vectors").resolve("pictures").resolve(name)

    private companion object {
        const val LARGE_PIXELS = 4000L * 3000
        const val BYTES_PER_PIXEL = 4
        const val TIMES = 5
        const val RESET_PEAK = "5" // proc(5): sets VmHWM to what is resident now
    }
}
