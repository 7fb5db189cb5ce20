package edgesqueeze.demo

import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.util.Size
import edgesqueeze.model.Orientation
import kotlin.math.abs

/** Which camera runs, and at which sizes: of the frames to classify, and of the picture on the screen. */
internal data class CameraPlan(
    val id: String,
    val frame: Size,
    val preview: Size,
    val sensorDegrees: Int,
    val front: Boolean,
) {
    /** The orientation of frames for a user whose display is rotated by [displayDegrees]. */
    fun orientation(displayDegrees: Int) =
        Orientation.ofRotation(if (front) sensorDegrees + displayDegrees else sensorDegrees - displayDegrees)
}

/** A back camera if possible, with frames whose short side is at least [shortSide]; null if there is no camera. */
internal fun planCamera(manager: CameraManager, shortSide: Int): CameraPlan? = manager.cameraIdList
    .map { it to manager.getCameraCharacteristics(it) }
    .sortedBy { (_, camera) -> camera.get(CameraCharacteristics.LENS_FACING) != CameraCharacteristics.LENS_FACING_BACK }
    .firstNotNullOfOrNull { (id, camera) -> planFor(id, camera, shortSide) }

private fun planFor(id: String, camera: CameraCharacteristics, shortSide: Int): CameraPlan? {
    val sizes = camera.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP) ?: return null
    val frame = frameSize(sizes.getOutputSizes(ImageFormat.YUV_420_888).orEmpty().asList(), shortSide) ?: return null
    val shown = sizes.getOutputSizes(SurfaceTexture::class.java).orEmpty().asList()
    return CameraPlan(
        id,
        frame,
        previewSize(shown, frame),
        camera.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0,
        camera.get(CameraCharacteristics.LENS_FACING) == CameraCharacteristics.LENS_FACING_FRONT,
    )
}

/** The smallest of [sizes] that is large enough for the model and not below what every camera has; else the largest. */
internal fun frameSize(sizes: List<Size>, shortSide: Int): Size? = sizes
    .filter { minOf(it.width, it.height) >= maxOf(shortSide, USUAL_SHORT_SIDE) }
    .minByOrNull(::area) ?: sizes.maxByOrNull(::area)

/** The largest of [sizes] in the shape of [frame], up to what a screen needs; else the frames' own size. */
internal fun previewSize(sizes: List<Size>, frame: Size): Size = sizes
    .filter { area(it) <= MOST_PREVIEW_PIXELS && sameShape(it, frame) }
    .maxByOrNull(::area) ?: frame

private fun area(size: Size) = size.width.toLong() * size.height

private fun sameShape(a: Size, b: Size) = abs(a.width * b.height - b.width * a.height) <= a.height + b.height // rounded

private const val USUAL_SHORT_SIDE = 480
private const val MOST_PREVIEW_PIXELS = 1920L * 1080
