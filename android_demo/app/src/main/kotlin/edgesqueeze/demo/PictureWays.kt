package edgesqueeze.demo

import android.content.ContentResolver
import android.content.Intent
import android.net.Uri
import edgesqueeze.model.PictureSource
import java.io.FileNotFoundException

/** An intent for any app that can provide a picture. */
internal fun pickIntent(): Intent =
    Intent(Intent.ACTION_GET_CONTENT).setType("image/*").addCategory(Intent.CATEGORY_OPENABLE)

/**
 * The picture that another app shared or wants viewed; null if [intent] is neither.
 *
 * Only content: addresses, for which the sender must have read access; a file: address could name a file of this app.
 */
internal fun sharedPicture(intent: Intent): Uri? {
    val address = when (intent.action) {
        Intent.ACTION_SEND -> stream(intent)
        Intent.ACTION_VIEW -> intent.data
        else -> null
    }
    return address?.takeIf { it.scheme == ContentResolver.SCHEME_CONTENT }
}

@Suppress("DEPRECATION") // its successor requires API 33
private fun stream(intent: Intent): Uri? = intent.getParcelableExtra(Intent.EXTRA_STREAM)

/** The picture at [address]. */
internal fun picture(resolver: ContentResolver, address: Uri) = PictureSource {
    resolver.openInputStream(address) ?: throw FileNotFoundException("cannot open $address")
}
