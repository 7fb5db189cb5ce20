package edgesqueeze.demo

import android.content.Intent
import android.content.res.Configuration
import android.graphics.Bitmap
import android.graphics.Color
import android.view.View
import android.view.ViewGroup
import android.widget.ImageView
import android.widget.ListView
import android.widget.ProgressBar
import android.widget.TextView
import java.util.concurrent.atomic.AtomicInteger
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

class ScreensTest : OnAndroid() {
    @Test
    @Config(qualifiers = PORTRAIT)
    fun `in portrait the classes are below the picture`() {
        val screen = classified()
        val shot = screen.screenshot("classify-portrait.png")
        assertTrue(screen.place(R.id.predictions).first >= screen.place(R.id.picture).second)
        assertTrue(luminance(shot) > 0.8)
        val (passed, all) = Regex("(\\d+) of (\\d+)").find(screen.text(R.id.golden))!!.destructured
        assertEquals(listOf("${state.models.size}", passed), listOf(all, all))
    }

    @Test
    @Config(qualifiers = LANDSCAPE)
    fun `in landscape the classes are beside the picture`() {
        val screen = classified()
        screen.screenshot("classify-landscape.png")
        assertTrue(screen.place(R.id.predictions).first < screen.place(R.id.picture).second)
        assertTrue(screen.place(R.id.timings).second <= screen.place(R.id.take).first)
    }

    @Test
    @Config(qualifiers = NIGHT)
    fun `at night the screen is dark`() {
        assertTrue(luminance(classified().screenshot("classify-dark.png")) < 0.05)
    }

    @Test
    @Config(qualifiers = PORTRAIT)
    fun `the list of models shows all of them`() {
        app.session
        settle()
        val screen = Robolectric.buildActivity(ModelsActivity::class.java).setup().get()
        screen.screenshot("models.png")
        assertEquals(state.models.size, screen.findViewById<ListView>(R.id.models).count)
    }

    @Test
    @Config(qualifiers = PORTRAIT)
    fun `the photograph is really on the screen`() {
        val screen = classified()
        val shot = screen.screenshot("classify-portrait.png")
        val (top, bottom) = screen.place(R.id.picture)
        val seen = Color.valueOf(shot.getPixel(shot.width / 2, (top + bottom) / 2))
        val preview = state.still!!.preview
        val expected = Color.valueOf(preview.getPixel(preview.width / 2, preview.height / 2))
        assertEquals(expected.red(), seen.red(), 0.1f)
        assertEquals(expected.blue(), seen.blue(), 0.1f)
    }

    @Test
    fun `bars and per cents say the same`() {
        val rows = classified().findViewById<ViewGroup>(R.id.predictions)
        state.still!!.classification!!.predictions.forEachIndexed { i, prediction ->
            val bar = rows.getChildAt(i).findViewById<ProgressBar>(R.id.bar)
            assertEquals(prediction.score, bar.progress.toFloat() / bar.max, 1e-3f)
            val percent = rows.getChildAt(i).findViewById<TextView>(R.id.percent).text.toString()
            assertEquals(prediction.score * 100, percent.removeSuffix(" %").toFloat(), 0.06f)
        }
    }

    @Test
    @Config(qualifiers = PORTRAIT)
    fun `turning the device keeps picture and classes, and repeats nothing`() {
        val opened = AtomicInteger()
        val address = address { photograph().inputStream().also { opened.incrementAndGet() } }
        val shared = Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, address)
        val controller = Robolectric.buildActivity(MainActivity::class.java, shared).setup()
        settle()
        val labels = controller.get().labels()
        val before = opened.get() to app.engines.runs.get()
        RuntimeEnvironment.setQualifiers("+land")
        controller.configurationChange(app.resources.configuration)
        settle()
        val turned = controller.get()
        assertEquals(Configuration.ORIENTATION_LANDSCAPE, turned.resources.configuration.orientation)
        assertEquals(labels, turned.labels())
        assertEquals(View.VISIBLE, turned.findViewById<ImageView>(R.id.picture).visibility)
        assertEquals(before, opened.get() to app.engines.runs.get())
    }

    @Test
    fun `the list of models is a step behind the main screen`() {
        val main = classified()
        main.click(R.id.header)
        val asked = shadowOf(main).nextStartedActivity
        assertEquals(ModelsActivity::class.java.name, asked.component!!.className)
        val list = Robolectric.buildActivity(ModelsActivity::class.java, asked).setup().get()
        list.click(R.id.back)
        assertTrue(list.isFinishing)
        assertEquals(best(INT8).first, main.labels().first())
    }

    @Test
    fun `an empty screen invites to begin`() {
        val screen = mainScreen(INT8).get()
        assertEquals(View.VISIBLE, screen.findViewById<View>(R.id.invitation).visibility)
        assertEquals(emptyList<String>(), screen.labels())
    }

    @Test
    @Config(qualifiers = "w320dp-h533dp-port-notnight-hdpi", fontScale = 1.3f)
    fun `a small screen with large letters still shows picture and buttons`() {
        val screen = classified()
        screen.screenshot("classify-small.png")
        assertTrue(screen.place(R.id.picture).run { second - first } > 40)
        assertTrue(screen.place(R.id.take).second <= screen.window.decorView.height)
    }

    private fun classified(): MainActivity {
        val screen = Robolectric.buildActivity(MainActivity::class.java).setup().get()
        settle()
        app.session.classify { photograph().inputStream() }
        settle()
        assertEquals(best(state.chosen!!.folder).first, screen.labels().first())
        return screen
    }

    /** Top and bottom of a view on its screen. */
    private fun MainActivity.place(id: Int): Pair<Int, Int> {
        val view = findViewById<View>(id)
        val at = IntArray(2).also(view::getLocationInWindow)
        return at[1] to at[1] + view.height
    }

    /** Of the ground, at the lower left corner. */
    private fun luminance(shot: Bitmap) = Color.luminance(shot.getPixel(5, shot.height - 5))

    private companion object {
        const val PORTRAIT = "w411dp-h891dp-port-notnight-xxhdpi"
        const val LANDSCAPE = "w891dp-h411dp-land-notnight-xxhdpi"
        const val NIGHT = "w411dp-h891dp-port-night-xxhdpi"
    }
}
