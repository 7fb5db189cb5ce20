package edgesqueeze.model

import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class PreprocessorTest {

    @Test
    fun `pixels of lossless pictures are those of Python to the byte`() = expectPixels { it.tolerance == 0 }

    @Test
    fun `pixels of other pictures are as near as decoders agree`() = expectPixels { it.tolerance > 0 }

    @Test
    fun `an orientation is none of the others`() {
        val pixels = vectors().filter { "exif-" in it.name && it.tolerance == 0 && it.rule.resize == Resize.STRETCH }
        assertEquals(EXIF_TAGS, pixels.map { it.pixels().toList() }.distinct().size)
    }

    @Test
    fun `an unknown EXIF tag leaves the picture as it is`() {
        assertEquals(listOf(0, 9, -1).map { Orientation.UPRIGHT }, listOf(0, 9, -1).map(Orientation::ofExif))
    }

    @Test
    fun `a rotation turns as EXIF's tag for it`() {
        val tags = listOf(0 to 1, 90 to 6, 180 to 3, 270 to 8, 360 to 1, -90 to 8)
        assertEquals(tags.map { Orientation.ofExif(it.second) }, tags.map { Orientation.ofRotation(it.first) })
    }

    private fun expectPixels(which: (Vector) -> Boolean) {
        val cases = vectors().filter(which)
        assertTrue("only ${cases.size} cases", cases.size >= LEAST_CASES)
        val differences = cases.associateWith { largestDifference(it.rule.pixels(it.picture), it.pixels()) }
        println("${cases.size} pictures and rules; a value is off in ${differences.filterValues { it > 0 }}")
        assertEquals(emptyMap<Vector, Int>(), differences.filter { (case, off) -> off > case.tolerance })
    }

    private fun largestDifference(got: ByteArray, expected: ByteArray): Int {
        assertEquals(expected.size, got.size)
        return got.indices.maxOf { abs((got[it].toInt() and 0xFF) - (expected[it].toInt() and 0xFF)) }
    }

    private companion object {
        const val LEAST_CASES = 40
        const val EXIF_TAGS = 8
    }
}
