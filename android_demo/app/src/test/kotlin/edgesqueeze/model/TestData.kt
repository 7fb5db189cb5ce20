package edgesqueeze.model

import java.io.File
import java.util.concurrent.ExecutionException
import java.util.concurrent.FutureTask
import java.util.concurrent.TimeUnit
import org.json.JSONArray
import org.json.JSONObject

/** The folder that the tests are told under [name]; they mean nothing without. */
fun testFolder(name: String): File {
    val path = requireNotNull(System.getProperty("edgesqueeze.$name")) { "run the tests by `make android-test`" }
    return File(path)
}

/** What [work] gives on a thread that is not the main one, which Robolectric runs tests on. */
fun <T> onWorker(work: () -> T): T {
    val task = FutureTask(work)
    Thread(task).start()
    try {
        return task.get(WORKER_TIMEOUT_S, TimeUnit.SECONDS)
    } catch (error: ExecutionException) {
        throw error.cause ?: error
    }
}

/** A picture, and the pixels that Python makes of it by a rule: a case of vectors.json. */
class Vector(private val folder: File, private val json: JSONObject) {
    val picture = PictureSource { File(folder, name).inputStream() }
    val name: String get() = json.getString("picture")
    val rule = json.getJSONObject("preprocessing").preprocessing()
    val tolerance = json.getInt("tolerance")

    fun pixels() = File(folder, json.getString("pixels")).readBytes()

    override fun toString() = json.getString("pixels")
}

/** Every case that Python wrote. */
fun vectors(): List<Vector> {
    val folder = testFolder("vectors")
    val cases = JSONArray(File(folder, "vectors.json").readText())
    return List(cases.length()) { Vector(folder, cases.getJSONObject(it)) }
}

/** The artifacts that were exported for the tests. */
fun testArtifacts(): List<Artifact> = onWorker {
    Bundle(FolderFiles(testFolder("artifacts"))).artifacts().map { (it as Bundled.Usable).artifact }
}

/** The pixels of [source] after the rule of this manifest. */
fun Preprocessing.pixels(source: PictureSource): ByteArray = onWorker {
    val picture = PictureDecoder.decode(source)
    Preprocessor(this).pixels(picture).also { picture.recycle() }
}

private const val WORKER_TIMEOUT_S = 120L
