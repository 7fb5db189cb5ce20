package edgesqueeze.demo

import android.graphics.Matrix
import android.util.Size
import edgesqueeze.model.Orientation
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test

class CameraShapeTest : OnAndroid() {
    @Test
    fun `frames are the smallest that the model can do with, not below what is usual`() {
        val sizes = listOf(Size(320, 240), Size(640, 480), Size(1280, 720))
        val wanted = mapOf(1 to sizes[1], 480 to sizes[1], 481 to sizes[2], 720 to sizes[2], 721 to sizes[2])
        wanted.forEach { (shortSide, size) -> assertEquals(size, frameSize(sizes, shortSide)) }
        assertEquals(sizes[0], frameSize(sizes.take(1), 256))
        assertNull(frameSize(emptyList(), 256))
    }

    @Test
    fun `without a preview of the frames' shape the frames' own size is taken`() {
        assertEquals(Size(640, 480), previewSize(listOf(Size(1280, 720), Size(4000, 3000)), Size(640, 480)))
    }

    @Test
    fun `frames are turned as the camera and the display are`() {
        val turns = mapOf(
            (90 to 0) to Orientation.ROTATED_90,
            (90 to 90) to Orientation.UPRIGHT,
            (90 to 180) to Orientation.ROTATED_270,
            (90 to 270) to Orientation.ROTATED_180,
            (270 to 0) to Orientation.ROTATED_270,
            (0 to 0) to Orientation.UPRIGHT,
            (0 to 90) to Orientation.ROTATED_270,
        )
        turns.forEach { (degrees, orientation) ->
            assertEquals("$degrees", orientation, plan(degrees.first).orientation(degrees.second))
        }
        assertEquals(Orientation.ROTATED_180, plan(90, front = true).orientation(90))
    }

    @Test
    fun `the preview is upright, undistorted and wholly seen`() {
        // Of a picture of 640 x 480 a view of 1000 x 2000 shows all the width, or if turned, all that was the height.
        assertEquals(listOf(0, 333, 1000, 1667), corners(plan(90).transform(TALL, 0)))
        assertEquals(listOf(1000, 1667, 0, 333), corners(plan(90).transform(TALL, 180)))
        assertEquals(listOf(0, 625, 1000, 1375), corners(plan(0).transform(TALL, 0)))
        // Turned with the device, the picture is turned back: what was left at the top goes to the bottom, or right.
        val wide = Size(2000, 1000)
        assertEquals(listOf(333, 1000, 1667, 0), corners(plan(90).transform(wide, 90), wide))
        assertEquals(listOf(1667, 0, 333, 1000), corners(plan(90).transform(wide, 270), wide))
    }

    private fun plan(degrees: Int, front: Boolean = false) = CameraPlan("0", USUAL, USUAL, degrees, front)

    /** Where the view's left top and right bottom corners go. */
    private fun corners(matrix: Matrix, view: Size = TALL): List<Int> {
        val points = floatArrayOf(0f, 0f, view.width.toFloat(), view.height.toFloat())
        matrix.mapPoints(points)
        return points.map(Math::round)
    }

    private companion object {
        val USUAL = Size(640, 480)
        val TALL = Size(1000, 2000)
    }
}
