package edgesqueeze.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.BitmapFactory
import android.net.Uri
import android.provider.MediaStore
import java.io.File
import java.io.InputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Robolectric
import org.robolectric.Shadows.shadowOf

class PicturesTest : OnAndroid() {
    private val best = best(INT8)

    @Test
    fun `a picked picture gets the class that Python gives it`() {
        val screen = mainScreen(INT8).get()
        pick(screen, address { photograph().inputStream() })
        assertEquals(best.first, screen.labels().first())
        assertEquals(best.second, state.still!!.classification!!.predictions.first().score, ONE_STEP)
        assertTrue(screen.text(R.id.timings).matches(Regex("decode .* ms · preprocessing .* ms · inference .* ms")))
        assertEquals("", screen.text(R.id.status))
    }

    @Test
    fun `any app that has pictures is asked for one`() {
        val screen = mainScreen(INT8).get()
        screen.click(R.id.pick)
        val asked = shadowOf(screen).nextStartedActivityForResult.intent
        assertEquals(Intent.ACTION_GET_CONTENT, asked.action)
        assertEquals("image/*", asked.type)
        assertTrue(Intent.CATEGORY_OPENABLE in asked.categories)
    }

    @Test
    fun `a cancelled pick changes nothing`() {
        val screen = mainScreen(INT8).get()
        pick(screen, address { photograph().inputStream() })
        val before = state
        pick(screen, address("another") { "not a picture".byteInputStream() }, Activity.RESULT_CANCELED)
        pick(screen, null)
        assertEquals(before, state)
    }

    @Test
    fun `a cancelled capture changes nothing`() {
        val screen = mainScreen(INT8).get()
        take(screen, photograph().readBytes())
        val before = state
        take(screen, null, Activity.RESULT_CANCELED)
        assertEquals(before, state)
    }

    @Test
    fun `a taken picture gets the class that Python gives it`() {
        val screen = mainScreen(INT8).get()
        take(screen, photograph().readBytes())
        assertEquals(best.first, screen.labels().first())
        assertEquals(photographSize(), state.still!!.preview.run { width to height })
    }

    @Test
    fun `a camera app that left nothing does not bring the last picture back`() {
        val screen = mainScreen(INT8).get()
        take(screen, photograph().readBytes())
        take(screen, null)
        assertTrue(screen.text(R.id.status), "Cannot open" in screen.text(R.id.status))
    }

    @Test
    fun `a cancelled capture leaves the last picture to other models`() {
        val screen = mainScreen(INT8, FLOAT32).get()
        take(screen, photograph().readBytes())
        screen.click(R.id.take)
        app.session.choose(FLOAT32)
        settle()
        assertEquals(best(FLOAT32).first, screen.labels().first())
    }

    @Test
    fun `taking a picture asks for the camera first`() {
        val screen = mainScreen(INT8).get()
        screen.click(R.id.take)
        val asked = shadowOf(screen).lastRequestedPermission
        assertEquals(listOf(Manifest.permission.CAMERA), asked.requestedPermissions.asList())
        shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        screen.onRequestPermissionsResult(asked.requestCode, asked.requestedPermissions, GRANTED)
        assertEquals(MediaStore.ACTION_IMAGE_CAPTURE, lastAsked(screen).action)
    }

    @Test
    fun `without the camera the other ways stay`() {
        val screen = mainScreen(INT8).get()
        screen.click(R.id.take)
        val asked = shadowOf(screen).lastRequestedPermission
        screen.onRequestPermissionsResult(asked.requestCode, asked.requestedPermissions, REFUSED)
        assertEquals(screen.getString(R.string.camera_refused), screen.text(R.id.status))
        pick(screen, address { photograph().inputStream() })
        assertEquals(best.first, screen.labels().first())
    }

    @Test
    fun `a request that was interrupted is no refusal`() {
        val screen = mainScreen(INT8).get()
        screen.click(R.id.take)
        val asked = shadowOf(screen).lastRequestedPermission
        screen.onRequestPermissionsResult(asked.requestCode, emptyArray(), IntArray(0))
        assertEquals("", screen.text(R.id.status))
    }

    @Test
    fun `a device without a camera app, and one without any app for pictures, say so`() {
        val screen = mainScreen(INT8).get()
        shadowOf(app).checkActivities(true)
        shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        screen.click(R.id.take)
        assertEquals(screen.getString(R.string.no_camera_app), screen.text(R.id.status))
        screen.click(R.id.pick)
        assertEquals(screen.getString(R.string.no_picker), screen.text(R.id.status))
    }

    @Test
    fun `a picture that another app shares or wants viewed is classified`() {
        bundle(INT8)
        val address = address { photograph().inputStream() }
        val shared = Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, address)
        val viewed = Intent(Intent.ACTION_VIEW).setDataAndType(address, "image/png")
        for (intent in listOf(shared, viewed)) {
            val screen = Robolectric.buildActivity(MainActivity::class.java, intent).setup().get()
            app.session.stopLive()
            settle()
            assertEquals(best.first, screen.labels().first())
            screen.finish()
        }
    }

    @Test
    fun `other apps cannot have a file of this app shown`() {
        bundle(INT8)
        val own = Uri.fromFile(photograph())
        val shared = Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, own)
        Robolectric.buildActivity(MainActivity::class.java, shared).setup()
        settle()
        assertNull(state.still)
    }

    @Test
    fun `what is no picture is said, and the last result stays`() {
        val screen = mainScreen(INT8).get()
        pick(screen, address { photograph().inputStream() })
        val whole = photograph().readBytes()
        val broken = mapOf<String, () -> InputStream>(
            "is not a picture" to { "not a picture".byteInputStream() },
            "ends too early" to { whole.copyOf(whole.size / 2).inputStream() },
            "Cannot open" to { File(folder.root, "missing").inputStream() },
            "no longer has access" to { throw SecurityException("no grant") },
            "Something went wrong" to { throw IllegalStateException("the other app's defect") },
        )
        for ((sentence, open) in broken) {
            pick(screen, address(sentence.replace(" ", "-"), open))
            assertTrue("$sentence: ${screen.text(R.id.status)}", sentence in screen.text(R.id.status))
            assertEquals(best.first, screen.labels().first())
        }
    }

    @Test
    fun `a good picture takes the last complaint away`() {
        val screen = mainScreen(INT8).get()
        pick(screen, address("text") { "not a picture".byteInputStream() })
        pick(screen, address { photograph().inputStream() })
        assertEquals("", screen.text(R.id.status))
    }

    private fun pick(screen: MainActivity, address: Uri?, result: Int = Activity.RESULT_OK) {
        screen.click(R.id.pick)
        shadowOf(screen).receiveResult(lastAsked(screen), result, Intent().setData(address))
        settle()
    }

    private fun take(screen: MainActivity, picture: ByteArray?, result: Int = Activity.RESULT_OK) {
        shadowOf(app).grantPermissions(Manifest.permission.CAMERA)
        screen.click(R.id.take)
        val asked = lastAsked(screen)
        val target = asked.getParcelableExtra(MediaStore.EXTRA_OUTPUT, Uri::class.java)!!
        picture?.let { app.contentResolver.openOutputStream(target)!!.use { file -> file.write(it) } }
        shadowOf(screen).receiveResult(asked, result, null)
        settle()
    }

    /** What the screen asked another app for; asking for a permission is asking the system's app. */
    private fun lastAsked(screen: MainActivity): Intent =
        generateSequence { shadowOf(screen).nextStartedActivityForResult }.map { it.intent }
            .single { it.action != "android.content.pm.action.REQUEST_PERMISSIONS" }

    private fun photographSize() = BitmapFactory.decodeFile(photograph().path).run { width to height }

    private companion object {
        const val ONE_STEP = 1.5f / 256
        val GRANTED = intArrayOf(PackageManager.PERMISSION_GRANTED)
        val REFUSED = intArrayOf(PackageManager.PERMISSION_DENIED)
    }
}
