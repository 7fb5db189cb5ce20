package edgesqueeze.demo

import edgesqueeze.model.Picture
import java.util.concurrent.Executor
import java.util.concurrent.atomic.AtomicReference

/** A camera's frame; closing it lets its memory be used for another. */
class Frame(val picture: Picture, private val release: () -> Unit = {}) : AutoCloseable {
    override fun close() = release()
}

/** Passes frames to [worker] one at a time; of those that arrive while it is busy, it keeps only the newest. */
class NewestFrame(private val worker: Executor, private val consume: (Frame) -> Unit) {
    private val waiting = AtomicReference<Frame?>()

    /** Makes [frame] the one that waits. */
    fun offer(frame: Frame) {
        val older = waiting.getAndSet(frame)
        if (older == null) worker.execute(::takeNewest) else older.close()
    }

    /** Drops the one that waits. */
    fun clear() {
        waiting.getAndSet(null)?.close()
    }

    private fun takeNewest() {
        waiting.getAndSet(null)?.use(consume)
    }
}

/** The number of frames per second, over the last few. */
class Rate {
    private val times = ArrayDeque<Long>()

    /** The rate after another frame at [nanos]; 0 after the first. */
    fun tick(nanos: Long): Float {
        times.addLast(nanos)
        if (times.size > WINDOW) times.removeFirst()
        val seconds = (nanos - times.first()) / NANOS_PER_SECOND
        return if (seconds > 0) (times.size - 1) / seconds else 0f
    }

    private companion object {
        const val WINDOW = 16
        const val NANOS_PER_SECOND = 1e9f
    }
}
