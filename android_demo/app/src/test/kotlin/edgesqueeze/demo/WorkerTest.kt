package edgesqueeze.demo

import android.content.Intent
import android.graphics.Bitmap
import android.os.Looper
import edgesqueeze.model.ArtifactFiles
import edgesqueeze.model.BitmapPicture
import edgesqueeze.model.Bundle
import edgesqueeze.model.FolderFiles
import edgesqueeze.model.Orientation
import edgesqueeze.model.PictureDecoder
import edgesqueeze.model.PictureSource
import java.util.Collections
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Robolectric

class WorkerTest : OnAndroid() {
    @Test
    fun `heavy work on the main thread is an error`() {
        val source = PictureSource { photograph().inputStream() }
        val small = BitmapPicture(Bitmap.createBitmap(2, 2, Bitmap.Config.ARGB_8888), Orientation.UPRIGHT)
        val work = mapOf<String, () -> Unit>(
            "decoding" to { PictureDecoder.decode(source) },
            "previewing" to { preview(small) },
            "listing" to { Bundle(FolderFiles(BUNDLED)).artifacts() },
        )
        work.forEach { (name, heavy) -> assertThrows(name, IllegalStateException::class.java) { heavy() } }
    }

    @Test
    fun `the screens read models and pictures on the worker only`() {
        bundle(INT8, FLOAT32)
        val readers = Collections.synchronizedList(ArrayList<Boolean>())
        fun note() = readers.add(Looper.getMainLooper().isCurrentThread)
        val files = checkNotNull(app.files)
        app.files = object : ArtifactFiles {
            override fun open(path: String) = files.open(path).also { note() }

            override fun map(path: String) = files.map(path).also { note() }
        }
        val picture = address { photograph().inputStream().also { note() } }
        val shared = Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, picture)
        val main = Robolectric.buildActivity(MainActivity::class.java, shared).setup()
        val models = Robolectric.buildActivity(ModelsActivity::class.java).setup().get()
        settle()
        models.click(R.id.check_all)
        app.session.choose(FLOAT32)
        main.recreate()
        settle()
        assertEquals(best(FLOAT32).first, main.get().labels().first())
        assertEquals(setOf(false), readers.toSet())
    }

    @Test
    fun `screens are told of changes on the main thread only`() {
        bundle(INT8)
        val threads = HashSet<Boolean>()
        app.session.observe { threads += Looper.getMainLooper().isCurrentThread }
        app.session.classify { photograph().inputStream() }
        settle()
        assertEquals(setOf(true), threads)
    }

    @Test
    fun `a screen that is not seen is not told`() {
        bundle(INT8)
        val seen = ArrayList<State>()
        val observer: (State) -> Unit = { seen += it }
        app.session.observe(observer)
        app.session.forget(observer)
        settle()
        assertEquals(1, seen.size)
    }

    @Test
    fun `a preview has the picture's shape and colors, and fits the screen`() {
        val red = 0xFFCC2211.toInt()
        val wide = Bitmap.createBitmap(3000, 1000, Bitmap.Config.ARGB_8888).apply { eraseColor(red) }
        val small = Bitmap.createBitmap(1, 900, Bitmap.Config.ARGB_8888).apply { eraseColor(red) }
        val shots = ArrayList<Bitmap>()
        app.worker.execute {
            shots += preview(BitmapPicture(wide, Orientation.ROTATED_90), longest = 300)
            shots += preview(BitmapPicture(small, Orientation.UPRIGHT), longest = 300)
        }
        app.worker.drain()
        assertEquals(listOf(100 to 300, 1 to 300), shots.map { it.width to it.height })
        shots.forEach {
            assertEquals(red, it.getPixel(0, it.height - 1))
            assertTrue(!it.hasAlpha())
        }
    }
}
