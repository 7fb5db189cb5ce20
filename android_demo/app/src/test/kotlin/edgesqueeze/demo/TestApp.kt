package edgesqueeze.demo

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Looper
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import edgesqueeze.model.Artifact
import edgesqueeze.model.ArtifactFiles
import edgesqueeze.model.AssetFiles
import edgesqueeze.model.Engine
import edgesqueeze.model.FolderFiles
import edgesqueeze.model.openEngine
import edgesqueeze.model.whyUnavailable
import java.io.File
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Collections
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executor
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicInteger
import org.json.JSONArray
import org.json.JSONObject
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Rule
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** The app with the models a test wants, a worker that can be waited for, and engines that are counted. */
class TestApp : DemoApp() {
    val worker = WatchedWorker()
    val engines = CountedEngines()
    var files: ArtifactFiles? = null
    var unavailable: (String) -> String? = ::whyUnavailable

    public override fun newSession() =
        Session(this, files ?: AssetFiles(assets, "models"), worker, Engines(unavailable, engines::open))
}

/** One thread, as in the app; it knows whether anything is left to do, and what was thrown. */
class WatchedWorker : Executor {
    private val thread = Executors.newSingleThreadExecutor()
    private val left = AtomicInteger()
    val thrown: MutableList<Throwable> = Collections.synchronizedList(ArrayList())
    val idle get() = left.get() == 0

    override fun execute(work: Runnable) {
        left.incrementAndGet()
        thread.execute {
            runCatching(work::run).onFailure(thrown::add)
            left.decrementAndGet()
        }
    }

    /** Waits until nothing is left to do. */
    fun drain() {
        while (!idle) thread.submit {}.get()
    }

    /** Keeps the thread busy until what this gives back is called. */
    fun hold(): () -> Unit {
        val latch = CountDownLatch(1)
        execute { latch.await() }
        return latch::countDown
    }

    fun shutdown(last: () -> Unit) {
        thread.submit(last).get()
        thread.shutdown()
    }
}

/** Opens real engines, which fail if told so, and knows which are open. */
class CountedEngines {
    val open: MutableList<Engine> = Collections.synchronizedList(ArrayList())
    val opened: MutableList<String> = Collections.synchronizedList(ArrayList())
    val threads: MutableList<Int> = Collections.synchronizedList(ArrayList())
    val runs = AtomicInteger()
    var mostOpen = 0
    var refuse: (Artifact) -> Unit = {}
    var fail: Throwable? = null

    fun open(artifact: Artifact, threads: Int): Engine {
        refuse(artifact)
        val engine = openEngine(artifact, threads)
        val counted = object : Engine by engine {
            override fun run(pixels: ByteArray): FloatArray {
                runs.incrementAndGet()
                fail?.let { throw it }
                return engine.run(pixels)
            }

            override fun close() {
                open -= this
                engine.close()
            }
        }
        open += counted
        opened += artifact.folder
        this.threads += threads
        mostOpen = maxOf(mostOpen, open.size)
        return counted
    }
}

/** What every test of the app needs. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], application = TestApp::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
abstract class OnAndroid {
    @get:Rule
    val folder = TemporaryFolder()
    val app get() = RuntimeEnvironment.getApplication() as TestApp
    val state get() = app.session.state

    @After
    fun nothingWasThrownOnTheWorker() {
        settle()
        app.worker.shutdown { app.engines.open.toList().forEach(Engine::close) }
        assertEquals(emptyList<Throwable>(), app.worker.thrown)
    }

    /** Waits for the worker, and shows what came of it. */
    fun settle() {
        do {
            app.worker.drain()
            shadowOf(Looper.getMainLooper()).idle()
        } while (!app.worker.idle)
    }

    /** The main screen, with copies of these artifacts as its bundle, after its first golden check. */
    fun mainScreen(vararg folders: String, change: (File) -> Unit = {}): ActivityController<MainActivity> {
        bundle(*folders, change = change)
        return Robolectric.buildActivity(MainActivity::class.java).setup().also { settle() }
    }

    /** Copies of these artifacts, changed, as the app's bundle. */
    fun bundle(vararg folders: String, change: (File) -> Unit = {}) {
        val root = folder.newFolder()
        folders.forEach { File(BUNDLED, it).copyRecursively(File(root, it)) }
        val entries = folders.map { JSONObject().put("folder", it).put("name", it) }
        val index = JSONObject().put("schema_version", 1).put("artifacts", JSONArray(entries))
        File(root, "index.json").writeText(index.toString())
        change(root)
        app.files = FolderFiles(root)
    }

    /** An address where another app gives this picture. */
    fun address(name: String = "picture", open: () -> InputStream): Uri {
        val uri = Uri.parse("content://another.app/$name")
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri, open)
        return uri
    }
}

val BUNDLED = File(System.getProperty("edgesqueeze.artifacts"))
const val INT8 = "squeezenet1.1-tflite-int8"
const val FLOAT32 = "squeezenet1.1-tflite-float32"
const val ONNX = "squeezenet1.1-onnx-float32"

/** The golden photograph of an artifact. */
fun photograph(folder: String = INT8) = File(BUNDLED, "$folder/golden/picture.png")

/** The label and the score that Python's engine found best for the golden photograph. */
fun best(folder: String, kernels: String = "xnnpack"): Pair<String, Float> {
    val bytes = ByteBuffer.wrap(File(BUNDLED, "$folder/golden/scores-$kernels.f32").readBytes())
    val scores = bytes.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().let { FloatArray(it.remaining()).also(it::get) }
    val best = scores.indices.maxBy { scores[it] }
    return File(BUNDLED, "$folder/labels.txt").readLines()[best] to scores[best]
}

/** What a view of this screen says. */
fun Activity.text(id: Int) = findViewById<TextView>(id).text.toString()

/** The labels that are shown, best first. */
fun Activity.labels(): List<String> {
    val rows = findViewById<ViewGroup>(R.id.predictions)
    return (0 until rows.childCount).map { rows.getChildAt(it) }.filter { it.visibility == View.VISIBLE }
        .map { it.findViewById<TextView>(R.id.label).text.toString() }
}

fun Activity.click(id: Int) = findViewById<View>(id).performClick()

/** What the screen looks like; kept as a file of this name where the build asks for it. */
fun Activity.screenshot(name: String): Bitmap {
    val view = window.decorView
    val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
    view.draw(Canvas(bitmap))
    System.getProperty("edgesqueeze.shots")?.let { folder ->
        File(folder).mkdirs()
        File(folder, name).outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }
    return bitmap
}
