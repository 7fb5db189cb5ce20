package edgesqueeze.demo

import android.content.ClipData
import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.content.Intent
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.MediaStore
import android.provider.OpenableColumns
import edgesqueeze.model.PictureSource
import java.io.File
import java.io.FileNotFoundException

/** The one file into which a camera app writes the picture that it was asked for; everything else is missing. */
class CaptureProvider : ContentProvider() {
    private val address by lazy { address(checkNotNull(context)) }

    override fun onCreate() = true

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        val cleared = if (mode == "w") "wt" else mode // which of them clears the file depends on Android's version
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.parseMode(cleared))
    }

    override fun getType(uri: Uri): String? = if (uri == address) "image/jpeg" else null

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        selectionArgs: Array<String>?,
        sortOrder: String?,
    ): Cursor = MatrixCursor(arrayOf(OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE)).apply {
        if (uri == address) addRow(arrayOf(file(uri).name, file(uri).length()))
    }

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun update(uri: Uri, values: ContentValues?, selection: String?, selectionArgs: Array<String>?) = 0

    override fun delete(uri: Uri, selection: String?, selectionArgs: Array<String>?) = 0

    private fun file(uri: Uri): File {
        if (uri != address) throw FileNotFoundException("$uri")
        return captured(checkNotNull(context))
    }

    /** A file that the camera app has finished: moved away at first use, so that the next capture leaves it alone. */
    private class Taken(private val captured: File, private val kept: File) : PictureSource {
        private val file by lazy {
            kept.delete() // if the camera app wrote nothing, an older picture must not be taken for the new one
            captured.renameTo(kept)
            kept
        }

        override fun open() = file.inputStream()
    }

    companion object {
        private fun address(context: Context) = Uri.parse("content://${context.packageName}.capture/picture.jpg")

        /** Asks a camera app for a picture in full resolution. */
        fun takeIntent(context: Context): Intent {
            captured(context).delete()
            val address = address(context)
            return Intent(MediaStore.ACTION_IMAGE_CAPTURE)
                .putExtra(MediaStore.EXTRA_OUTPUT, address)
                .addFlags(Intent.FLAG_GRANT_WRITE_URI_PERMISSION or Intent.FLAG_GRANT_READ_URI_PERMISSION)
                .apply { clipData = ClipData.newRawUri("", address) }
        }

        /** The picture that the camera app has taken. */
        fun taken(context: Context): PictureSource = Taken(captured(context), File(context.cacheDir, "taken.jpg"))

        private fun captured(context: Context) = File(context.cacheDir, "captured.jpg")
    }
}
