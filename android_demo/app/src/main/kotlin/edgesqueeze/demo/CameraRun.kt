package edgesqueeze.demo

import android.annotation.SuppressLint
import android.graphics.ImageFormat
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.media.ImageReader
import android.os.Handler
import android.view.Surface
import edgesqueeze.model.Orientation

/** One camera from opening to closing; everything happens on the thread of [handler]. */
internal class CameraRun(
    private val manager: CameraManager,
    private val handler: Handler,
    private val viewfinder: Viewfinder,
    private val report: Report,
) : CameraDevice.StateCallback() {

    /** Receives the events of the camera. */
    interface Report {
        fun planned(plan: CameraPlan)

        fun failed(sentence: Int)
    }

    private val pool = FramePool()
    private var device: CameraDevice? = null
    private var reader: ImageReader? = null
    private var surface: Surface? = null
    private var plan: CameraPlan? = null
    private var closed = false

    /** Opens the camera; its pictures come until [close], or until it fails. */
    @SuppressLint("MissingPermission") // requested by the activity; if revoked, a SecurityException follows
    fun open() = attempt {
        val plan = planCamera(manager, viewfinder.shortSide) ?: return@attempt fail(R.string.no_camera)
        surface = Surface(viewfinder.surface)
        reader = reader(plan)
        this.plan = plan
        report.planned(plan)
        manager.openCamera(plan.id, this, handler)
    }

    /** Closes the camera, now or as soon as it has opened. */
    fun close() {
        closed = true
        device?.close()
        reader?.close()
        surface?.release()
        device = null
    }

    override fun onOpened(camera: CameraDevice) {
        if (closed) return camera.close()
        device = camera
        attempt { startSession(camera) }
    }

    override fun onDisconnected(camera: CameraDevice) {
        device = camera
        fail(R.string.camera_taken)
    }

    override fun onError(camera: CameraDevice, error: Int) {
        device = camera
        fail(R.string.camera_failed)
    }

    private fun reader(plan: CameraPlan): ImageReader {
        val reader = ImageReader.newInstance(plan.frame.width, plan.frame.height, ImageFormat.YUV_420_888, IMAGES)
        val orientation = plan.orientation(viewfinder.displayDegrees)
        reader.setOnImageAvailableListener({ deliver(it, orientation) }, handler)
        return reader
    }

    private fun deliver(reader: ImageReader, orientation: Orientation) = attempt {
        if (!closed) reader.acquireLatestImage()?.use { viewfinder.onFrame(pool.frame(it, orientation)) }
    }

    private fun startSession(camera: CameraDevice) {
        val preview = checkNotNull(plan).preview
        viewfinder.surface.setDefaultBufferSize(preview.width, preview.height) // late: a new layout resets it
        val outputs = listOf(checkNotNull(surface), checkNotNull(reader).surface)
        val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
        outputs.forEach(request::addTarget)
        val callback = object : CameraCaptureSession.StateCallback() {
            override fun onConfigured(session: CameraCaptureSession) = attempt {
                if (!closed) session.setRepeatingRequest(request.build(), null, handler)
            }

            override fun onConfigureFailed(session: CameraCaptureSession) = fail(R.string.camera_failed)
        }
        @Suppress("DEPRECATION") // its successor requires API 28
        camera.createCaptureSession(outputs, callback, handler)
    }

    /** Does [work]; the camera may be in use, forbidden, or gone, and its surfaces with it. */
    private fun attempt(work: () -> Unit) = try {
        work()
    } catch (_: CameraAccessException) {
        fail(R.string.camera_failed)
    } catch (_: SecurityException) {
        fail(R.string.camera_refused)
    } catch (_: IllegalArgumentException) {
        fail(R.string.camera_failed)
    } catch (_: IllegalStateException) {
        fail(R.string.camera_failed)
    }

    private fun fail(sentence: Int) {
        val wasClosed = closed
        close()
        if (!wasClosed) report.failed(sentence)
    }

    private companion object {
        const val IMAGES = 2 // one to read, one to be filled meanwhile
    }
}
