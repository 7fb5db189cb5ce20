package edgesqueeze.demo

import android.view.View
import android.widget.TextView
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Robolectric
import org.robolectric.Shadows.shadowOf

class GoldenTest : OnAndroid() {
    @Test
    fun `every model is checked at the first start`() {
        val screen = mainScreen(INT8, ONNX).get()
        assertEquals("Golden check: 2 of 2 PASS", screen.text(R.id.golden))
        val figures = "\\d+ x \\d+ pixels equal; scores within \\d\\.\\de[+-]\\d\\d, allowed \\d\\.\\de-\\d\\d; .+"
        state.models.forEach { assertTrue(it.verdict!!.text, it.verdict!!.text.matches(Regex(figures))) }
        assertTrue("TensorFlow Lite" in state.models.first().verdict!!.text)
        assertTrue("ONNX Runtime" in state.models.last().verdict!!.text)
    }

    @Test
    fun `a later start repeats no check, and shows what the first gave`() {
        mainScreen(INT8, ONNX)
        val verdicts = state.models.map(Model::verdict)
        app.engines.opened.clear()
        val next = app.newSession()
        settle()
        assertEquals(listOf(INT8), app.engines.opened)
        assertEquals(verdicts, next.state.models.map(Model::verdict))
    }

    @Test
    fun `another artifact of the same name is checked`() {
        mainScreen(INT8)
        bundle(INT8) { root ->
            File(root, "$INT8/model.json").let { it.writeText(it.readText().replace("\"MIT\"", "\"BSD\"")) }
        }
        assertEquals(2, enginesOpenedByNextStart())
    }

    @Test
    fun `a new version of the app checks everything again`() {
        mainScreen(INT8)
        shadowOf(app.packageManager).getInternalMutablePackageInfo(app.packageName).lastUpdateTime++
        assertEquals(2, enginesOpenedByNextStart())
        assertEquals(1, enginesOpenedByNextStart())
    }

    @Test
    fun `the button repeats the checks`() {
        mainScreen(INT8, ONNX)
        val screen = Robolectric.buildActivity(ModelsActivity::class.java).setup().get()
        app.engines.opened.clear()
        val release = app.worker.hold()
        screen.click(R.id.check_all)
        release()
        settle()
        assertEquals(listOf(INT8, ONNX, INT8), app.engines.opened)
        assertEquals("Golden check: 2 of 2 PASS", screen.text(R.id.golden))
    }

    @Test
    fun `progress is shown, and the button waits for the end`() {
        mainScreen(INT8, ONNX)
        val models = Robolectric.buildActivity(ModelsActivity::class.java).setup().get()
        val seen = LinkedHashSet<String>()
        val button = models.findViewById<View>(R.id.check_all)
        app.session.observe { seen += models.text(R.id.golden) + button.isEnabled }
        seen.clear()
        models.click(R.id.check_all)
        settle()
        val progress = listOf(0, 1).map { "Golden check: $it of 2 done…false" }
        assertEquals(progress + "Golden check: 2 of 2 PASStrue", seen.toList())
    }

    @Test
    fun `scores that the engine does not give are a failure`() {
        val screen = mainScreen(INT8, ONNX) { root -> spoil(File(root, "$ONNX/golden/scores-onnxruntime.f32")) }.get()
        assertEquals("Golden check: FAIL: $ONNX", screen.text(R.id.golden))
        val line = screen.findViewById<TextView>(R.id.golden)
        assertEquals(screen.getColor(R.color.bad), line.currentTextColor)
        val verdict = state.models.last().verdict!!
        assertFalse(verdict.passed)
        assertTrue(verdict.text, "scores off by" in verdict.text)
        assertTrue(state.models.first().verdict!!.passed)
    }

    @Test
    fun `pixels that preprocessing does not give are a failure`() {
        mainScreen(INT8) { root -> spoil(File(root, "$INT8/golden/pixels.rgb")) }
        val verdict = state.models.single().verdict!!
        assertFalse(verdict.passed)
        assertTrue(verdict.text, verdict.text.matches(Regex("2 of \\d+ x \\d+ pixels differ; .*")))
    }

    @Test
    fun `a golden picture that is damaged is a failure, and remembered as one`() {
        mainScreen(INT8) { root -> File(root, "$INT8/golden/picture.png").writeText("damaged") }
        val verdict = state.models.single().verdict!!
        assertFalse(verdict.passed)
        assertTrue(verdict.text, "golden picture is damaged" in verdict.text)
        val next = app.newSession()
        settle()
        assertEquals(verdict, next.state.models.single().verdict)
    }

    @Test
    fun `a picture need not wait for all checks`() {
        val release = app.worker.hold()
        bundle(INT8, ONNX)
        app.session.classify { photograph().inputStream() }
        release()
        settle()
        assertEquals(listOf(INT8, INT8, ONNX, INT8), app.engines.opened)
        assertEquals(best(INT8).first, state.still!!.classification!!.predictions.first().label)
    }

    private fun enginesOpenedByNextStart(): Int {
        app.engines.opened.clear()
        app.newSession()
        settle()
        return app.engines.opened.size
    }

    /** Changes the third and fourth byte of a file. */
    private fun spoil(file: File) {
        val bytes = file.readBytes()
        for (i in 2..3) bytes[i] = (bytes[i] + 64).toByte()
        file.writeBytes(bytes)
    }
}
