package edgesqueeze.demo

import android.Manifest
import android.app.Activity
import android.content.pm.ApplicationInfo
import android.content.pm.FeatureInfo
import android.content.pm.PackageManager
import android.graphics.Color
import android.view.View
import android.view.ViewGroup
import android.widget.ImageView
import android.widget.ListView
import android.widget.TextView
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Robolectric
import org.robolectric.annotation.Config

class LooksTest : OnAndroid() {
    @Test
    @Config(qualifiers = "notnight")
    fun `texts can be read by day`() = assertReadable()

    @Test
    @Config(qualifiers = "night")
    fun `texts can be read at night`() = assertReadable()

    @Test
    fun `what can be tapped is large enough for a finger, and says what it is`() {
        bundle(INT8)
        for (screen in listOf(MainActivity::class.java, ModelsActivity::class.java)) {
            val activity = Robolectric.buildActivity(screen).setup().get()
            settle()
            val views = activity.views().filter { it.isClickable && it.isShown }
            assertTrue(views.size >= 4)
            views.forEach { view ->
                val name = "${screen.simpleName}: ${activity.resources.getResourceEntryName(view.id)}"
                val side = FINGER_DP * activity.resources.displayMetrics.density
                assertTrue("$name is ${view.width} x ${view.height}", view.width >= side && view.height >= side)
                assertTrue(name, view.speaks())
            }
        }
    }

    @Test
    fun `pictures are described, or passed over by who cannot see them`() {
        val views = mainScreen(INT8).get().views()
        views.filterIsInstance<ImageView>().forEach {
            assertTrue(it.contentDescription != null || !it.isImportantForAccessibility)
        }
    }

    @Test
    fun `the app asks for the camera only, needs none, and is not backed up`() {
        val flags = PackageManager.GET_PERMISSIONS or PackageManager.GET_CONFIGURATIONS
        val installed = app.packageManager.getPackageInfo(app.packageName, flags)
        assertEquals(listOf(Manifest.permission.CAMERA), installed.requestedPermissions.asList())
        assertTrue(installed.reqFeatures.orEmpty().all { it.flags and FeatureInfo.FLAG_REQUIRED == 0 })
        assertFalse(app.applicationInfo.flags and ApplicationInfo.FLAG_ALLOW_BACKUP != 0)
    }

    private fun assertReadable() {
        val texts = listOf(R.color.text, R.color.text_quiet, R.color.accent, R.color.good, R.color.bad)
        val grounds = listOf(R.color.background, R.color.surface, R.color.picture_ground)
        val pairs = texts.flatMap { text -> grounds.map { text to it } } + (R.color.accent to R.color.button)
        for ((text, ground) in pairs) {
            val names = listOf(text, ground).joinToString(" on ", transform = app.resources::getResourceEntryName)
            val (darker, lighter) = listOf(text, ground).map { Color.luminance(app.getColor(it)) }.sorted()
            val contrast = (lighter + 0.05) / (darker + 0.05)
            assertTrue("$names: $contrast", contrast >= LEAST_CONTRAST)
        }
    }

    private fun Activity.views(): List<View> = descendants(window.decorView)

    private fun descendants(view: View): List<View> {
        if (view !is ViewGroup) return listOf(view)
        return listOf(view) + (0 until view.childCount).flatMap { descendants(view.getChildAt(it)) }
    }

    private fun View.speaks(): Boolean = contentDescription != null || descendants(this)
        .any { it is TextView && it.text.isNotEmpty() } || this is ListView

    private companion object {
        const val FINGER_DP = 48
        const val LEAST_CONTRAST = 4.5 // Web Content Accessibility Guidelines 2.1, AA
    }
}
