package edgesqueeze.model

import java.io.File
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class ArtifactTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val root by lazy { temporary.root }

    @Test
    fun `an artifact as exported is usable`() = assertTrue(only() is Bundled.Usable)

    @Test
    fun `one changed byte of the model is told with both hashes`() {
        val model = File(bundled(), Manifest.parse(bundled().resolve("model.json").readText()).file.name)
        model.writeBytes(model.readBytes().also { it[it.size / 2]++ })
        assertRefused("is not the file that was exported: required sha256")
    }

    @Test
    fun `changed class names are refused`() {
        bundled().resolve("labels.txt").appendText("one more\n")
        assertRefused("labels.txt is not the file that was exported")
    }

    @Test
    fun `a missing model is refused`() {
        bundled().listFiles()!!.single { it.extension == "tflite" }.delete()
        assertRefused("Cannot read")
    }

    @Test
    fun `a missing manifest is refused`() {
        bundled().resolve("model.json").delete()
        assertRefused("The artifact has no model.json")
    }

    @Test
    fun `what this app cannot follow is refused with the reason`() {
        for ((path, value, reason) in WRONG) {
            bundled()
            edit(path, value)
            assertRefused(reason)
        }
    }

    @Test
    fun `keys that this app does not know are no reason`() {
        bundled()
        edit("later", JSONObject())
        assertTrue(only() is Bundled.Usable)
    }

    @Test
    fun `an app without a bundle says how to make one`() {
        val error = assertThrows(ArtifactRefused::class.java) { onWorker { Bundle(FolderFiles(root)).artifacts() } }
        assertTrue(error.message!!, "edge-squeeze bundle android" in error.message!!)
    }

    @Test
    fun `a damaged index is told`() {
        root.resolve("index.json").writeText("{")
        val error = assertThrows(ArtifactRefused::class.java) { onWorker { Bundle(FolderFiles(root)).artifacts() } }
        assertTrue(error.message!!, "damaged" in error.message!!)
    }

    @Test
    fun `an index of a later version is told`() {
        writeIndex(SCHEMA_VERSION + 1, JSONObject().put("folder", FOLDER))
        val error = assertThrows(ArtifactRefused::class.java) { onWorker { Bundle(FolderFiles(root)).artifacts() } }
        assertTrue(error.message!!, "index.json has schema version 2; this app supports 1" in error.message!!)
    }

    @Test
    fun `models are not read on the main thread`() {
        bundled()
        assertThrows(IllegalStateException::class.java) { Bundle(FolderFiles(root)).artifacts() }
    }

    private fun assertRefused(reason: String) {
        val found = only()
        assertTrue("not refused for: $reason", found is Bundled.Refused)
        val said = (found as Bundled.Refused).reason
        assertTrue("$said: $reason", reason in said)
    }

    /** The only artifact of the bundle, which is made where the test has not yet. */
    private fun only(): Bundled {
        if (root.list()!!.isEmpty()) bundled()
        val entry = JSONObject().put("folder", FOLDER)
        writeIndex(SCHEMA_VERSION, entry)
        return onWorker { Bundle(FolderFiles(root)).artifacts() }.single()
    }

    private fun writeIndex(version: Any, entry: JSONObject) {
        val index = JSONObject().put("schema_version", version).put("artifacts", JSONArray().put(entry))
        root.resolve("index.json").writeText(index.toString())
    }

    private fun bundled(): File = root.resolve(FOLDER).also {
        testFolder("artifacts").resolve(FOLDER).copyRecursively(it, overwrite = true)
    }

    private fun edit(path: String, value: Any) {
        val file = root.resolve(FOLDER).resolve("model.json")
        val json = JSONObject(file.readText())
        val keys = path.split(".")
        keys.dropLast(1).fold(json) { inner, key -> inner.getJSONObject(key) }.put(keys.last(), value)
        file.writeText(json.toString())
    }

    private companion object {
        const val FOLDER = "squeezenet1.1-tflite-int8"
        val WRONG = listOf(
            Triple("schema_version", 2, "schema version 2; this app supports 1"),
            Triple("schema_version", "1", "schema version 1; this app supports 1"),
            Triple("preprocessing.filter", "lanczos", "the filter lanczos; this app supports bilinear, tf"),
            Triple("preprocessing.resize", "fit", "the resize fit"),
            Triple("input.dtype", "float64", "the dtype float64"),
            Triple("input.layout", "hwc", "the layout hwc"),
            Triple("input.content", "probabilities", "not pixels"),
            Triple("output.content", "heat", "the content heat"),
            Triple("classes", 999, "classes"),
            Triple("classes", "many", "Cannot read"),
            Triple("preprocessing.short_side", 100, "short side"),
            Triple("preprocessing.pad", JSONArray(listOf(1, 0, 0, 0)), "contradicts itself"),
            Triple("preprocessing.crop", JSONArray(listOf(227)), "Cannot read"),
            Triple("file.name", "../secret", "is outside the folder"),
            Triple("file.name", "/etc/passwd", "is outside the folder"),
            Triple("golden", "none", "Cannot read"),
        )
    }
}
