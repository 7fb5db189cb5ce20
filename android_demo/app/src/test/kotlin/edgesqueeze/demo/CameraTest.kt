package edgesqueeze.demo

import android.Manifest
import android.content.pm.PackageManager
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.os.Handler
import android.util.Size
import android.view.TextureView
import java.util.concurrent.CountDownLatch
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.shadow.api.Shadow
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.ShadowCameraManager
import org.robolectric.shadows.StreamConfigurationMapBuilder
import org.robolectric.util.ReflectionHelpers

class CameraTest : OnAndroid() {
    private val manager get() = app.getSystemService(CameraManager::class.java)

    @Test
    fun `live opens the camera at the back, and stop closes it`() {
        camera("0", CameraCharacteristics.LENS_FACING_FRONT)
        camera("1", CameraCharacteristics.LENS_FACING_BACK)
        val screen = live().get()
        assertEquals(listOf("1 open"), cameras())
        assertEquals(screen.getString(R.string.stop), screen.text(R.id.live))
        screen.click(R.id.live)
        settleCamera()
        assertEquals(listOf("1 closed"), cameras())
        assertNull(state.live)
    }

    @Test
    fun `without a camera at the back any other is used`() {
        camera("0", CameraCharacteristics.LENS_FACING_FRONT)
        live()
        assertEquals(listOf("0 open"), cameras())
    }

    @Test
    fun `the camera is free while the app is not in front, and goes on after that`() {
        camera("1", CameraCharacteristics.LENS_FACING_BACK)
        val controller = live()
        controller.pause()
        settleCamera()
        assertEquals(listOf("1 closed"), cameras())
        controller.resume()
        settleCamera()
        assertEquals(listOf("1 closed", "1 open"), cameras())
    }

    @Test
    fun `a camera that is stopped before it has opened is closed`() {
        camera("1", CameraCharacteristics.LENS_FACING_BACK)
        val screen = live().get()
        val latch = CountDownLatch(1)
        Handler(app.camera.looper).post(latch::await)
        repeat(3) { screen.click(R.id.live) } // stop, start and stop wait for the camera's thread
        latch.countDown()
        settleCamera()
        assertEquals(listOf("1 closed", "1 closed"), cameras())
    }

    @Test
    fun `asking for a picture ends live`() {
        camera("1", CameraCharacteristics.LENS_FACING_BACK)
        val screen = live().get()
        screen.click(R.id.pick)
        settleCamera()
        assertNull(state.live)
        assertEquals(listOf("1 closed"), cameras())
    }

    @Test
    fun `a camera that another app takes ends live with a sentence`() {
        camera("1", CameraCharacteristics.LENS_FACING_BACK)
        val screen = live().get()
        shadowOf(manager).triggerDisconnect()
        settleCamera()
        assertEquals(screen.getString(R.string.camera_taken), screen.text(R.id.status))
        assertNull(state.live)
        assertEquals(listOf("1 closed"), cameras())
    }

    @Test
    fun `no camera that gives frames ends live with a sentence`() {
        camera("2", CameraCharacteristics.LENS_FACING_BACK, sizes = null)
        val screen = live().get()
        assertEquals(screen.getString(R.string.no_camera), screen.text(R.id.status))
        assertNull(state.live)
    }

    @Test
    fun `a device without any camera says so, and asks for nothing`() {
        val screen = mainScreen(INT8).get()
        shadowOf(app.packageManager).setSystemFeature(PackageManager.FEATURE_CAMERA_ANY, false)
        screen.click(R.id.live)
        assertEquals(screen.getString(R.string.no_camera), screen.text(R.id.status))
        assertNull(shadowOf(screen).lastRequestedPermission)
    }

    @Test
    fun `without the permission there is a sentence`() {
        shadowOf(app.packageManager).setSystemFeature(PackageManager.FEATURE_CAMERA_ANY, true)
        val screen = mainScreen(INT8).get()
        screen.click(R.id.live)
        val asked = shadowOf(screen).lastRequestedPermission
        val refused = intArrayOf(PackageManager.PERMISSION_DENIED)
        screen.onRequestPermissionsResult(asked.requestCode, asked.requestedPermissions, refused)
        assertEquals(screen.getString(R.string.camera_refused), screen.text(R.id.status))
        assertNull(state.live)
    }

    @Test
    fun `a permission that is taken back ends live with a sentence`() {
        camera("1", CameraCharacteristics.LENS_FACING_BACK)
        val controller = live()
        controller.pause()
        shadowOf(app).denyPermissions(Manifest.permission.CAMERA)
        controller.resume()
        settleCamera()
        assertEquals(app.getString(R.string.camera_refused), controller.get().text(R.id.status))
        assertNull(state.live)
    }

    @Test
    fun `without a model live says so`() {
        app.unavailable = { "no engine" }
        camera("1", CameraCharacteristics.LENS_FACING_BACK)
        val screen = live().get()
        assertEquals(screen.getString(R.string.no_model), screen.text(R.id.status))
        assertEquals(emptyList<String>(), cameras())
    }

    @Test
    fun `frames have what the model wants, the preview has their shape`() {
        camera("1", CameraCharacteristics.LENS_FACING_BACK)
        val usual = planCamera(manager, 256)!!
        assertEquals(Size(640, 480), usual.frame)
        assertEquals(Size(1280, 960), usual.preview)
        assertEquals(Size(1280, 720), planCamera(manager, 481)!!.frame)
        assertEquals(Size(1920, 1080), planCamera(manager, 481)!!.preview)
        assertEquals(Size(4000, 3000), planCamera(manager, 9999)!!.frame)
    }

    /** The main screen of an app that may use the camera, live. */
    private fun live(): ActivityController<MainActivity> {
        shadowOf(app.packageManager).setSystemFeature(PackageManager.FEATURE_CAMERA_ANY, true)
        shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        val controller = mainScreen(INT8)
        val view = controller.get().findViewById<TextureView>(R.id.viewfinder)
        view.setSurfaceTexture(SurfaceTexture(false))
        controller.get().click(R.id.live)
        settleCamera()
        return controller
    }

    /** Every camera that was opened, and whether it was closed again; Robolectric keeps them for itself. */
    private fun cameras(): List<String> {
        val kept = ShadowCameraManager::class.java
        return ReflectionHelpers.getStaticField<Set<CameraDevice>>(kept, "createdCameras").map { device ->
            val closed = ReflectionHelpers.getField<Boolean>(Shadow.extract(device), "closed")
            device.id + if (closed) " closed" else " open"
        }.sorted()
    }

    private fun settleCamera() {
        repeat(3) {
            settle()
            shadowOf(app.camera.looper).idle()
        }
        settle()
    }

    private fun camera(id: String, facing: Int, sizes: List<Size>? = SIZES) {
        val camera = ShadowCameraCharacteristics.newCameraCharacteristics()
        val shadow = Shadow.extract<ShadowCameraCharacteristics>(camera)
        shadow.set(CameraCharacteristics.LENS_FACING, facing)
        shadow.set(CameraCharacteristics.SENSOR_ORIENTATION, 90)
        val map = StreamConfigurationMapBuilder.newBuilder()
        sizes?.forEach {
            map.addOutputSize(ImageFormat.YUV_420_888, it)
            map.addOutputSize(ImageFormat.PRIVATE, it)
        }
        shadow.set(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP, map.build())
        shadowOf(manager).addCamera(id, camera)
    }

    private companion object {
        val SIZES = listOf(
            Size(4000, 3000), Size(1920, 1080), Size(1280, 960), Size(1280, 720), Size(640, 480), Size(320, 240),
        )
    }
}
