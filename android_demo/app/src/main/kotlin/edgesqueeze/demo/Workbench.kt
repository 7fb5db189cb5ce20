package edgesqueeze.demo

import android.content.Context
import edgesqueeze.model.Artifact
import edgesqueeze.model.ArtifactFiles
import edgesqueeze.model.ArtifactRefused
import edgesqueeze.model.Bundle
import edgesqueeze.model.Classifier
import edgesqueeze.model.Engine
import edgesqueeze.model.GoldenCheck
import edgesqueeze.model.PictureDecoder
import edgesqueeze.model.PictureSource
import edgesqueeze.model.openEngine
import edgesqueeze.model.whyUnavailable
import java.util.concurrent.Executor

/** The available engines: why a format has none, or null; and a function that opens one. */
class Engines(
    val unavailable: (format: String) -> String? = ::whyUnavailable,
    val open: (Artifact, Int) -> Engine = ::openEngine,
)

/**
 * The work of the worker thread; use it on no other thread.
 *
 * It owns the one classifier that is open, and publishes what changes. Long work is done in pieces, each a task of
 * [worker], so that pictures do not have to wait for its end.
 */
internal class Workbench(
    private val context: Context,
    files: ArtifactFiles,
    private val engines: Engines,
    private val worker: Executor,
    private val publish: (State.() -> State) -> Unit,
) {
    private val catalog = Catalog(Bundle(files), engines)
    private val wording = Wording(context.resources)
    private val settings by lazy { settingsOf(context) }
    private var models = emptyList<Model>()
    private var chosen: Model? = null
    private var classifier: Classifier? = null
    private var source: PictureSource? = null
    private var rate = Rate()
    private var nothing = "" // why there is no model to choose

    /** Lists the bundle, restores the last choice, and checks what has not been checked yet. */
    fun load() {
        val unread = problemIn { models = catalog.models(settings) }
        val usable = models.filter(Model::usable)
        chosen = usable.find { it.folder == settings.chosen } ?: usable.firstOrNull()
        nothing = unread ?: context.getString(R.string.no_model)
        val problem = if (chosen == null) nothing else null
        val threads = settings.threads
        publish { copy(loading = false, threads = threads, mostThreads = Settings.mostThreads, problem = problem) }
        publishModels()
        checkNext()
    }

    /** Makes the artifact in [folder] the one that classifies, beginning with the picture that is shown. */
    fun choose(folder: String) {
        settings.chosen = folder
        chosen = models.find { it.folder == folder }
        startAnew()
    }

    /** Gives the engine [threads] threads. */
    fun useThreads(threads: Int) {
        settings.threads = threads
        startAnew()
    }

    /** Shows the picture in [source], then its classes. */
    fun classify(source: PictureSource) {
        publish { copy(busy = true) }
        attempt { show(source) }
        publish { copy(busy = false) }
    }

    /** Shows the classes of a frame, unless the camera was stopped in the meantime. */
    fun classify(frame: Frame) = attempt {
        val classification = classifier().classify(frame.picture)
        val picturesPerSecond = rate.tick(System.nanoTime())
        publish { if (live == null) this else copy(live = Live(classification, picturesPerSecond)) }
    }

    /** Begins to count frames. */
    fun startLive() {
        rate = Rate()
    }

    /** Forgets the verdicts, and checks every artifact again. */
    fun checkAll() {
        val running = models.any { it.usable && it.verdict == null }
        models = models.map { it.copy(verdict = null) }
        publishModels()
        if (!running) checkNext()
    }

    private fun startAnew() {
        close()
        publishModels()
        publish { copy(still = still?.copy(classification = null)) } // it was another model's
        source?.let(::classify) ?: attempt { if (chosen != null) classifier() }
    }

    private fun show(source: PictureSource) {
        val start = System.nanoTime()
        val picture = PictureDecoder.decode(source)
        val decodeMs = (System.nanoTime() - start) / NANOS_PER_MS
        this.source = source
        try {
            val preview = preview(picture)
            publish { copy(still = Still(preview, null)) }
            val classification = classifier().classify(picture).copy(decodeMs = decodeMs)
            publish { copy(still = Still(preview, classification)) }
        } finally {
            picture.recycle()
        }
    }

    private fun classifier(): Classifier = classifier ?: open()

    private fun open(): Classifier {
        val model = chosen ?: throw ArtifactRefused(nothing)
        val opened = try {
            Classifier(checkNotNull(model.artifact), settings.threads, engines.open)
        } catch (error: ArtifactRefused) {
            replace(model.copy(problem = error.message))
            throw error
        }
        classifier = opened
        publish { copy(engine = opened.engineName) }
        return opened
    }

    private fun close() {
        classifier?.close()
        classifier = null
    }

    /** Checks one artifact, then hands the next to the worker; after the last, gets ready for pictures. */
    private fun checkNext() {
        val model = models.find { it.usable && it.verdict == null }
            ?: return attempt { if (chosen != null) classifier() }
        close()
        val verdict = verdict(checkNotNull(model.artifact))
        attempt { settings.keep(model.artifact.fingerprint(), verdict) }
        replace(model.copy(verdict = verdict))
        worker.execute(::checkNext)
    }

    private fun verdict(artifact: Artifact): Verdict {
        var verdict: Verdict? = null
        val problem = problemIn {
            val result = GoldenCheck(open = engines.open).check(artifact, settings.threads)
            verdict = wording.verdict(result, artifact.manifest)
        }
        return verdict ?: Verdict(false, problem.orEmpty())
    }

    private fun replace(model: Model) {
        models = models.map { if (it.folder == model.folder) model else it }
        chosen = chosen?.let { old -> models.find { it.folder == old.folder } }
        publishModels()
    }

    private fun publishModels() {
        val models = models
        val chosen = chosen
        val engine = classifier?.engineName
        publish { copy(models = models, chosen = chosen, engine = engine) }
    }

    /** Does [work]; if it fails, the screens say why. */
    private fun attempt(work: () -> Unit) {
        val problem = problemIn(work) ?: return
        publish { copy(message = problem) }
    }

    /** Does [work], and says what went wrong, if anything: no picture and no model may end the app. */
    private fun problemIn(work: () -> Unit): String? = try {
        work()
        null
    } catch (error: OutOfMemoryError) {
        wording.problem(error)
    } catch (@Suppress("TooGenericExceptionCaught") error: Exception) { // engines and other apps throw various exceptions
        wording.problem(error)
    }

    private companion object {
        const val NANOS_PER_MS = 1e6f
    }
}
