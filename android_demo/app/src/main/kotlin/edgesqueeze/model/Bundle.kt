package edgesqueeze.model

import android.content.res.AssetManager
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import org.json.JSONException
import org.json.JSONObject

/** An artifact of the bundle: usable, or refused for a reason. */
sealed class Bundled {
    abstract val folder: String

    class Usable(val artifact: Artifact) : Bundled() {
        override val folder get() = artifact.folder
    }

    class Refused(override val folder: String, val reason: String) : Bundled()
}

/** The output of `edge-squeeze bundle` in this app: index.json, and a folder for each artifact. */
class Bundle(private val files: ArtifactFiles) {

    /** Every bundled artifact in the order of the index; throws ArtifactRefused if the index is missing or damaged. */
    fun artifacts(): List<Bundled> {
        requireWorkerThread("Reading models")
        return folders().map { folder ->
            try {
                Bundled.Usable(Artifact.load(folder, files))
            } catch (error: ArtifactRefused) {
                Bundled.Refused(folder, error.message.orEmpty())
            }
        }
    }

    private fun folders(): List<String> = try {
        val index = JSONObject(files.open(INDEX).use { String(it.readBytes(), Charsets.UTF_8) })
        requireVersion(index, INDEX)
        val entries = index.getJSONArray("artifacts")
        List(entries.length()) { entries.getJSONObject(it).getString("folder") }
    } catch (error: IOException) {
        throw ArtifactRefused("This app was built without a model. $HOW_TO_BUNDLE", error)
    } catch (error: JSONException) {
        throw ArtifactRefused("The list of models, $INDEX, is damaged: ${error.message}. $HOW_TO_BUNDLE", error)
    }

    private companion object {
        const val INDEX = "index.json"
        const val HOW_TO_BUNDLE = "Run `edge-squeeze bundle android ARTIFACT android_demo` and build the app again."
    }
}

/** The files below [root] in an APK's assets. */
class AssetFiles(private val assets: AssetManager, private val root: String) : ArtifactFiles {

    override fun open(path: String): InputStream = assets.open("$root/$path")

    override fun map(path: String): ByteBuffer = try {
        assets.openFd("$root/$path").use { asset ->
            asset.createInputStream().channel.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.length)
        }
    } catch (_: FileNotFoundException) { // stored compressed, by a build without noCompress
        direct(open(path).use(InputStream::readBytes))
    }
}

/** The files below [root] in a file system. */
class FolderFiles(private val root: File) : ArtifactFiles {

    override fun open(path: String): InputStream = File(root, path).inputStream()

    override fun map(path: String): ByteBuffer =
        File(root, path).inputStream().channel.use { it.map(FileChannel.MapMode.READ_ONLY, 0, it.size()) }
}

private fun direct(bytes: ByteArray): ByteBuffer =
    ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder()).put(bytes).apply { rewind() }
