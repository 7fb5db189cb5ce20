package edgesqueeze.demo

import android.content.ComponentName
import android.content.Intent
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.MediaStore
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Robolectric

class CaptureProviderTest : OnAndroid() {
    private val provider = Robolectric.setupContentProvider(CaptureProvider::class.java)
    private val intent get() = CaptureProvider.takeIntent(app)
    private val address = intent.getParcelableExtra(MediaStore.EXTRA_OUTPUT, Uri::class.java)!!

    @Test
    fun `a camera app may write to the one file, and nobody else to anything`() {
        val info = app.packageManager.getProviderInfo(ComponentName(app, CaptureProvider::class.java), 0)
        assertFalse(info.exported)
        assertTrue(info.grantUriPermissions)
        assertEquals(info.authority, address.authority)
        assertNotEquals(0, intent.flags and Intent.FLAG_GRANT_WRITE_URI_PERMISSION)
        assertEquals(address, intent.clipData!!.getItemAt(0).uri)
    }

    @Test
    fun `what is written is what is classified`() {
        write("a picture")
        assertEquals("a picture", CaptureProvider.taken(app).open().use { String(it.readBytes()) })
    }

    @Test
    fun `a shorter picture leaves nothing of a longer one`() {
        write("a longer picture")
        write("short")
        assertEquals("short", CaptureProvider.taken(app).open().use { String(it.readBytes()) })
    }

    @Test
    fun `no other file can be reached`() {
        write("a picture")
        File(app.cacheDir, "secret.jpg").writeText("secret")
        for (path in listOf("secret.jpg", "../secret.jpg", "picture.jpg/../secret.jpg", "%2e%2e/secret.jpg", "")) {
            val other = Uri.parse("content://${address.authority}/$path")
            assertThrows(path, FileNotFoundException::class.java) { provider.openFile(other, "r") }
            assertEquals(0, provider.query(other, null, null, null, null).count)
        }
    }

    @Test
    fun `camera apps that ask learn name, size and type`() {
        write("a picture")
        val cursor = provider.query(address, null, null, null, null)
        assertTrue(cursor.moveToFirst())
        assertEquals(9, cursor.getLong(cursor.getColumnIndexOrThrow(OpenableColumns.SIZE)))
        assertEquals("image/jpeg", provider.getType(address))
    }

    @Test
    fun `the file cannot be removed from outside`() {
        write("a picture")
        assertEquals(0, provider.delete(address, null, null))
        assertEquals("a picture", CaptureProvider.taken(app).open().use { String(it.readBytes()) })
    }

    private fun write(text: String) {
        val descriptor = provider.openFile(address, "w")
        ParcelFileDescriptor.AutoCloseOutputStream(descriptor).use { it.write(text.toByteArray()) }
    }
}
