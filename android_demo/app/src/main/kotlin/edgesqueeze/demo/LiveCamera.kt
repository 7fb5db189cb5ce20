package edgesqueeze.demo

import android.content.Context
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraManager
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper

/** Where pictures go: the preview to [surface]; frames to classify to [onFrame], on the camera's thread. */
internal class Viewfinder(
    val surface: SurfaceTexture,
    val shortSide: Int,
    val displayDegrees: Int,
    val onPlan: (CameraPlan) -> Unit,
    val onFrame: (Frame) -> Unit,
    val onProblem: (sentence: Int) -> Unit,
)

/** The device's camera: one at a time, on a thread of its own, where closing the last comes before opening the next. */
class LiveCamera(context: Context) {
    private val manager = context.getSystemService(CameraManager::class.java)
    private val thread = HandlerThread("camera").apply { start() }
    private val handler = Handler(thread.looper)
    private val main = Handler(Looper.getMainLooper())
    private var wanted: Viewfinder? = null // the main thread's
    private var running: CameraRun? = null // the camera thread's

    /** The camera's thread, for tests to wait for. */
    internal val looper: Looper get() = thread.looper

    /** Runs the camera for [viewfinder] until [stop]; it receives failures on the main thread. */
    internal fun start(viewfinder: Viewfinder) {
        wanted = viewfinder
        handler.post {
            running?.close()
            running = CameraRun(manager, handler, viewfinder, report(viewfinder)).also(CameraRun::open)
        }
    }

    /** Closes the camera. */
    fun stop() {
        wanted = null
        handler.post {
            running?.close()
            running = null
        }
    }

    /** Passes reports to the main thread, which drops those from a camera that is no longer wanted. */
    private fun report(viewfinder: Viewfinder) = object : CameraRun.Report {
        override fun planned(plan: CameraPlan) = tell { viewfinder.onPlan(plan) }

        override fun failed(sentence: Int) = tell { viewfinder.onProblem(sentence) }

        private fun tell(what: () -> Unit) {
            main.post { if (wanted === viewfinder) what() }
        }
    }
}
