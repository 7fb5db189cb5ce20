package edgesqueeze.demo

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.view.View
import edgesqueeze.model.Orientation
import edgesqueeze.model.Picture
import edgesqueeze.model.Plane
import edgesqueeze.model.YuvPicture
import java.nio.ByteBuffer
import kotlin.math.roundToInt
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class LiveTest : OnAndroid() {
    private val closed = ArrayList<String>()

    @Test
    fun `a frame of the camera gets the class that Python gives its picture`() {
        val screen = mainScreen(FLOAT32).get()
        app.session.startLive()
        app.session.offer(Frame(asFrame(BitmapFactory.decodeFile(photograph().path))))
        settle()
        assertEquals(best(FLOAT32).first, screen.labels().first())
        assertEquals(View.VISIBLE, screen.findViewById<View>(R.id.viewfinder).visibility)
        assertTrue(screen.text(R.id.timings).matches(Regex("preprocessing .* ms · inference .* ms · .* pictures/s")))
    }

    @Test
    fun `of the frames that come while the worker is busy only the newest is classified`() {
        mainScreen(INT8)
        app.session.startLive()
        val release = app.worker.hold()
        listOf("first", "second", "third").forEach { app.session.offer(frame(it)) }
        assertEquals(listOf("first", "second"), closed)
        val before = app.engines.runs.get()
        release()
        settle()
        assertEquals(1, app.engines.runs.get() - before)
        assertEquals(listOf("first", "second", "third"), closed)
    }

    @Test
    fun `every frame is classified while the worker keeps up`() {
        mainScreen(INT8)
        app.session.startLive()
        val before = app.engines.runs.get()
        repeat(3) {
            app.session.offer(frame("$it"))
            settle()
        }
        assertEquals(3, app.engines.runs.get() - before)
        assertTrue(state.live!!.picturesPerSecond > 0)
    }

    @Test
    fun `a frame that still waits when the camera stops is dropped`() {
        mainScreen(INT8)
        app.session.startLive()
        val release = app.worker.hold()
        app.session.offer(frame("late"))
        app.session.stopLive()
        val before = app.engines.runs.get()
        release()
        settle()
        assertEquals(0, app.engines.runs.get() - before)
        assertEquals(listOf("late"), closed)
    }

    @Test
    fun `what a frame gave is not shown once the camera has stopped`() {
        mainScreen(INT8)
        app.session.startLive()
        app.session.offer(frame("late"))
        app.worker.drain()
        app.session.stopLive()
        settle()
        assertNull(state.live)
        assertNull(state.still)
    }

    @Test
    fun `after the camera the picture before it is shown again`() {
        val screen = mainScreen(INT8).get()
        app.session.classify { photograph().inputStream() }
        settle()
        app.session.startLive()
        assertEquals(emptyList<String>(), screen.labels())
        app.session.stopLive()
        assertEquals(best(INT8).first, screen.labels().first())
        assertEquals(View.GONE, screen.findViewById<View>(R.id.viewfinder).visibility)
    }

    @Test
    fun `a picture ends live`() {
        mainScreen(INT8)
        app.session.startLive()
        app.session.classify { photograph().inputStream() }
        settle()
        assertNull(state.live)
        assertNotNull(state.still!!.classification)
    }

    @Test
    fun `pictures per second are those of the last few`() {
        val rate = Rate()
        assertEquals(0f, rate.tick(0), 0f)
        val quick = (1..30).map { rate.tick(it * 100_000_000L) }
        assertEquals(10f, quick.last(), 1e-3f)
        val slow = (1..30).map { rate.tick(3_000_000_000L + it * 1_000_000_000L) }
        assertEquals(1f, slow.last(), 1e-3f)
    }

    @Test
    fun `copies of frames use the memory of those that were closed`() {
        val pool = FramePool()
        val used = ArrayList<ByteArray>()
        val first = pool.copy(ByteBuffer.wrap(byteArrayOf(1, 2, 3)), used)
        val second = pool.copy(ByteBuffer.wrap(byteArrayOf(4, 5, 6)), used)
        assertTrue(first.array() !== second.array())
        pool.giveBack(used)
        val third = pool.copy(ByteBuffer.wrap(byteArrayOf(7, 8, 9)), ArrayList())
        assertTrue(third.array() === first.array() || third.array() === second.array())
        assertEquals(listOf<Byte>(7, 8, 9), third.array().asList())
        assertEquals(4, pool.copy(ByteBuffer.wrap(ByteArray(4)), ArrayList()).remaining())
    }

    private fun frame(name: String): Frame {
        val gray = object : Picture {
            override val width = 640
            override val height = 480

            override fun readRow(y: Int, row: IntArray) = row.fill(0x808080)
        }
        return Frame(gray) { closed += name }
    }

    /** [bitmap] as of a camera that lies on its side: turned, its colors in planes, those of U and V mixed. */
    private fun asFrame(bitmap: Bitmap): Picture {
        val width = bitmap.height / 2 * 2
        val height = bitmap.width / 2 * 2
        val luma = ByteArray(width * height)
        val chroma = ByteArray(width * height / 2)
        for (y in 0 until height) for (x in 0 until width) {
            val color = bitmap.getPixel(y, height(bitmap) - 1 - x)
            val (r, g, b) = listOf(16, 8, 0).map { (color shr it and 0xFF).toDouble() }
            luma[y * width + x] = (0.299 * r + 0.587 * g + 0.114 * b).roundToInt().toByte()
            val at = y / 2 * width + x / 2 * 2
            chroma[at] = (128 - 0.168736 * r - 0.331264 * g + 0.5 * b).roundToInt().coerceIn(0, 255).toByte()
            chroma[at + 1] = (128 + 0.5 * r - 0.418688 * g - 0.081312 * b).roundToInt().coerceIn(0, 255).toByte()
        }
        val blue = Plane(ByteBuffer.wrap(chroma), width, 2)
        val red = Plane(ByteBuffer.wrap(chroma, 1, chroma.size - 1).slice(), width, 2)
        return YuvPicture(width, height, Orientation.ofRotation(90), Plane(ByteBuffer.wrap(luma), width, 1), blue, red)
    }

    private fun height(bitmap: Bitmap) = bitmap.height / 2 * 2
}
