package edgesqueeze.demo

import android.widget.ListView
import android.widget.TextView
import edgesqueeze.model.ArtifactRefused
import edgesqueeze.model.FolderFiles
import edgesqueeze.model.Manifest
import java.io.File
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Robolectric
import org.robolectric.Shadows.shadowOf

class ModelsTest : OnAndroid() {
    @Test
    fun `every bundled model is listed with what it is and what was proven`() {
        val list = models(INT8, ONNX)
        val size = File(BUNDLED, INT8).listFiles()!!.single { it.extension == "tflite" }.length() / 1e6
        assertEquals(listOf(INT8, ONNX), list.names())
        assertEquals("int8 · %.2f MB · TensorFlow Lite · proven at export".format(size), list.text(0, R.id.facts))
        assertTrue(list.text(1, R.id.facts), "ONNX Runtime" in list.text(1, R.id.facts))
    }

    @Test
    fun `what no export proved is listed as that`() {
        val verdicts = mapOf("unproven" to "unproven", "fail" to "failed its parity check at export", "news" to "unproven")
        for ((verdict, words) in verdicts) {
            val json = JSONObject(File(BUNDLED, "$INT8/model.json").readText())
            json.getJSONObject("parity").put("verdict", verdict)
            val facts = Wording(app.resources).facts(Manifest.parse("$json"))
            assertTrue(facts, facts.endsWith("· $words"))
        }
    }

    @Test
    fun `the first one classifies until another is chosen, which then classifies the same picture`() {
        val screen = mainScreen(INT8, FLOAT32, ONNX).get()
        app.session.classify { photograph().inputStream() }
        settle()
        assertEquals(INT8, screen.text(R.id.model_name))
        val list = list()
        for ((row, folder, kernels) in listOf(Triple(1, FLOAT32, "xnnpack"), Triple(2, ONNX, "onnxruntime"))) {
            list.tap(row)
            assertEquals(folder, screen.text(R.id.model_name))
            assertTrue(screen.text(R.id.model_facts), app.engines.open.single().name in screen.text(R.id.model_facts))
            val (label, score) = best(folder, kernels)
            assertEquals(label, screen.labels().first())
            assertEquals(score, state.still!!.classification!!.predictions.first().score, 1e-4f)
        }
    }

    @Test
    fun `one engine is open at any time, and all others were closed`() {
        mainScreen(INT8, FLOAT32, ONNX)
        val list = list()
        list.tap(2)
        app.session.useThreads(1)
        app.session.classify { photograph().inputStream() }
        app.session.checkAll()
        list.tap(1)
        settle()
        assertEquals(1, app.engines.mostOpen)
        assertEquals(1, app.engines.open.size)
        assertEquals(FLOAT32, app.engines.opened.last())
        assertTrue(app.engines.opened.size > 6)
    }

    @Test
    fun `an engine gets the chosen number of threads, from one to all cores`() {
        val screen = mainScreen(INT8).get()
        val models = Robolectric.buildActivity(ModelsActivity::class.java).setup().get()
        app.session.useThreads(1)
        settle()
        assertEquals("1 thread", models.text(R.id.threads))
        assertFalse(models.findViewById<TextView>(R.id.fewer).isEnabled)
        assertEquals(1, app.engines.threads.last())
        repeat(Settings.mostThreads + 3) {
            models.click(R.id.more)
            settle()
        }
        assertEquals(Settings.mostThreads, app.engines.threads.last())
        assertTrue(screen.text(R.id.model_facts), screen.text(R.id.model_facts).endsWith(models.text(R.id.threads)))
    }

    @Test
    fun `the choice of model and threads lasts`() {
        val list = models(INT8, FLOAT32)
        list.tap(1)
        app.session.useThreads(1)
        settle()
        val next = app.newSession()
        settle()
        assertEquals(FLOAT32, next.state.chosen!!.folder)
        assertEquals(1, next.state.threads)
    }

    @Test
    fun `a choice that is not bundled any more gives way to the first`() {
        models(INT8, FLOAT32).tap(1)
        bundle(INT8)
        val next = app.newSession()
        settle()
        assertEquals(INT8, next.state.chosen!!.folder)
    }

    @Test
    fun `a broken artifact is listed with the reason, and cannot be chosen`() {
        val list = models(INT8, FLOAT32, ONNX, "squeezenet1.1-tflite-float16") { root ->
            modelIn(File(root, FLOAT32)).let { file -> file.writeBytes(file.readBytes().also { it[1000]++ }) }
            val manifest = File(root, "$ONNX/model.json")
            manifest.writeText(manifest.readText().replace("schema_version\": 1", "schema_version\": 2"))
            modelIn(File(root, "squeezenet1.1-tflite-float16")).delete()
        }
        val reasons = listOf("is not the file that was exported", "schema version 2", "Cannot read")
        reasons.forEachIndexed { i, reason ->
            assertTrue(list.text(i + 1, R.id.verdict), reason in list.text(i + 1, R.id.verdict))
            assertFalse(list.adapter.isEnabled(i + 1))
            app.session.choose(state.models[i + 1].folder)
            settle()
            assertEquals(INT8, state.chosen!!.folder)
        }
    }

    @Test
    fun `models without an engine are listed with the reason, and cannot be chosen`() {
        app.unavailable = { if (it == "onnx") "This app does not include ONNX Runtime" else null }
        val list = models(INT8, ONNX)
        assertEquals("This app does not include ONNX Runtime", list.text(1, R.id.verdict))
        assertFalse(list.adapter.isEnabled(1))
        app.session.choose(ONNX)
        settle()
        assertEquals(INT8, state.chosen!!.folder)
        assertFalse(ONNX in app.engines.opened)
    }

    @Test
    fun `an app whose models all are unusable, and one without any, say so and stay`() {
        app.unavailable = { "no engine" }
        val screen = mainScreen(INT8).get()
        assertEquals(screen.getString(R.string.without_model), screen.text(R.id.model_name))
        assertEquals(screen.getString(R.string.no_model), screen.text(R.id.model_facts))
        app.session.classify { photograph().inputStream() }
        settle()
        assertEquals(screen.getString(R.string.no_model), screen.text(R.id.status))
        app.files = FolderFiles(folder.newFolder())
        val bare = app.newSession()
        settle()
        assertTrue(bare.state.problem!!, "edge-squeeze bundle" in bare.state.problem!!)
    }

    @Test
    fun `a model that its engine does not take is refused when it is chosen`() {
        val screen = mainScreen(INT8, FLOAT32).get()
        app.engines.refuse = { if (it.folder == FLOAT32) throw ArtifactRefused("it cannot be run") }
        app.session.choose(FLOAT32)
        settle()
        assertEquals("it cannot be run", screen.text(R.id.status))
        assertFalse(state.models.last().usable)
        app.session.choose(INT8)
        settle()
        assertEquals("", screen.text(R.id.status))
        assertEquals(INT8, app.engines.opened.last())
    }

    @Test
    fun `what one model said is never shown as another's`() {
        val screen = mainScreen(INT8, FLOAT32).get()
        var granted = true
        app.session.classify { if (granted) photograph().inputStream() else throw SecurityException() }
        settle()
        granted = false
        app.session.choose(FLOAT32)
        settle()
        assertEquals(emptyList<String>(), screen.labels())
        assertTrue(screen.text(R.id.status), "Pick it again" in screen.text(R.id.status))
    }

    @Test
    fun `a broken picture does not take the place of the one that other models classify`() {
        val screen = mainScreen(INT8, FLOAT32).get()
        app.session.classify { photograph().inputStream() }
        app.session.classify { "not a picture".byteInputStream() }
        app.session.choose(FLOAT32)
        settle()
        assertEquals(best(FLOAT32).first, screen.labels().first())
    }

    @Test
    fun `an engine that fails or runs out of memory leaves a sentence`() {
        val screen = mainScreen(INT8).get()
        for (error in listOf(IllegalStateException("tensor"), OutOfMemoryError())) {
            app.engines.fail = error
            app.session.classify { photograph().inputStream() }
            settle()
            assertEquals(Wording(app.resources).problem(error), screen.text(R.id.status))
            assertNull(state.still!!.classification)
        }
    }

    private fun models(vararg folders: String, change: (File) -> Unit = {}): ListView {
        mainScreen(*folders, change = change)
        return list()
    }

    private fun list(): ListView =
        Robolectric.buildActivity(ModelsActivity::class.java).setup().get().findViewById(R.id.models)

    private fun ListView.tap(row: Int) {
        shadowOf(this).performItemClick(row)
        settle()
    }

    private fun ListView.names() = (0 until count).map { text(it, R.id.name) }

    private fun ListView.text(row: Int, id: Int) =
        adapter.getView(row, null, this).findViewById<TextView>(id).text.toString()

    private fun modelIn(artifact: File) = artifact.listFiles()!!.single { it.extension in setOf("tflite", "onnx") }
}
