package edgesqueeze.demo

import android.media.Image
import edgesqueeze.model.Orientation
import edgesqueeze.model.Plane
import edgesqueeze.model.YuvPicture
import java.nio.ByteBuffer
import java.util.concurrent.ConcurrentLinkedQueue

/**
 * Copies of a camera's images, in memory that is reused once a frame is closed.
 *
 * Copies, because images become invalid when their reader closes, while the worker may still use the last frame.
 */
internal class FramePool {
    private val spare = ConcurrentLinkedQueue<ByteArray>()

    /** A copy of [image]. */
    fun frame(image: Image, orientation: Orientation): Frame {
        val used = ArrayList<ByteArray>()
        val (luma, blue, red) = image.planes.map { plane ->
            Plane(copy(plane.buffer, used), plane.rowStride, plane.pixelStride)
        }
        val picture = YuvPicture(image.width, image.height, orientation, luma, blue, red)
        return Frame(picture) { giveBack(used) }
    }

    /** A copy of what remains in [buffer], its memory added to [used]. */
    fun copy(buffer: ByteBuffer, used: MutableList<ByteArray>): ByteBuffer {
        val size = buffer.remaining()
        val bytes = spare.find { it.size == size && spare.remove(it) } ?: ByteArray(size)
        buffer.get(bytes)
        used += bytes
        return ByteBuffer.wrap(bytes)
    }

    /** Lets [memory] be used again. */
    fun giveBack(memory: List<ByteArray>) {
        spare += memory
    }
}
