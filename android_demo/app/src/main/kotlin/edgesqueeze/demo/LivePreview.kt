package edgesqueeze.demo

import android.graphics.Matrix
import android.graphics.SurfaceTexture
import android.hardware.display.DisplayManager
import android.os.Handler
import android.os.Looper
import android.util.Size
import android.view.TextureView

/** Runs the camera while it is wanted and there is a surface, and shows its picture upright and undistorted. */
internal class LivePreview(
    private val view: TextureView,
    private val camera: LiveCamera,
    private val onFrame: (Frame) -> Unit,
    private val onProblem: (sentence: Int) -> Unit,
) : TextureView.SurfaceTextureListener, DisplayManager.DisplayListener {
    private val displays = view.context.getSystemService(DisplayManager::class.java)
    private var shortSide: Int? = null
    private var degrees = 0
    private var plan: CameraPlan? = null

    init {
        view.surfaceTextureListener = this
    }

    /** Requests frames whose short side is at least [shortSide] pixels. */
    fun start(shortSide: Int) {
        if (this.shortSide == shortSide) return
        if (this.shortSide == null) displays.registerDisplayListener(this, Handler(Looper.getMainLooper()))
        this.shortSide = shortSide
        run()
    }

    /** Requests no more frames. */
    fun stop() {
        if (shortSide == null) return
        shortSide = null
        displays.unregisterDisplayListener(this)
        camera.stop()
    }

    private fun run() {
        val shortSide = shortSide ?: return
        val surface = view.surfaceTexture ?: return
        degrees = displayDegrees()
        camera.start(Viewfinder(surface, shortSide, degrees, ::turn, onFrame, onProblem))
    }

    private fun turn(plan: CameraPlan) {
        this.plan = plan
        view.setTransform(plan.transform(Size(view.width, view.height), degrees))
    }

    private fun displayDegrees() = (view.display?.rotation ?: 0) * QUARTER

    override fun onSurfaceTextureAvailable(surface: SurfaceTexture, width: Int, height: Int) = run()

    override fun onSurfaceTextureSizeChanged(surface: SurfaceTexture, width: Int, height: Int) {
        plan?.let(::turn)
    }

    override fun onSurfaceTextureDestroyed(surface: SurfaceTexture): Boolean {
        if (shortSide != null) camera.stop() // otherwise it may already run for another screen
        return true
    }

    override fun onSurfaceTextureUpdated(surface: SurfaceTexture) = Unit

    /** The activity is not recreated when the device is turned upside down. */
    override fun onDisplayChanged(displayId: Int) {
        if (displayDegrees() != degrees) run()
    }

    override fun onDisplayAdded(displayId: Int) = Unit

    override fun onDisplayRemoved(displayId: Int) = Unit

    private companion object {
        const val QUARTER = 90
    }
}

/** Undoes the distortion of this camera's picture, which a TextureView of [view] pixels stretches over itself. */
internal fun CameraPlan.transform(view: Size, displayDegrees: Int): Matrix {
    val lying = sensorDegrees % HALF_TURN != 0
    val width = if (lying) preview.height else preview.width // as the device's natural orientation shows it
    val height = if (lying) preview.width else preview.height
    val turned = displayDegrees % HALF_TURN != 0
    val fit = minOf(
        view.width.toFloat() / if (turned) height else width,
        view.height.toFloat() / if (turned) width else height,
    )
    val middleX = view.width / 2f
    val middleY = view.height / 2f
    return Matrix().apply {
        postScale(fit * width / view.width, fit * height / view.height, middleX, middleY)
        postRotate(-displayDegrees.toFloat(), middleX, middleY)
    }
}

private const val HALF_TURN = 180
