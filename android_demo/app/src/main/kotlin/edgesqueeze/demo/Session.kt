package edgesqueeze.demo

import android.content.Context
import android.os.Handler
import android.os.Looper
import edgesqueeze.model.ArtifactFiles
import edgesqueeze.model.PictureSource
import java.util.concurrent.Executor

/**
 * Where the screens request work and see its results: [state], which changes on the main thread only.
 *
 * [worker] is one thread, the only one that touches models; it owns the one engine that is open.
 */
class Session(
    private val context: Context,
    files: ArtifactFiles,
    private val worker: Executor,
    engines: Engines = Engines(),
) {
    private val main = Handler(Looper.getMainLooper())
    private val observers = LinkedHashSet<(State) -> Unit>()
    private val workbench = Workbench(context, files, engines, worker) { change -> main.post { update(change) } }
    private val newest = NewestFrame(worker) { frame -> workbench.classify(frame) }

    /** What the screens show now. */
    var state = State()
        private set

    init {
        worker.execute(workbench::load)
    }

    /** Calls [observer] with the state: now, and whenever it has changed. */
    fun observe(observer: (State) -> Unit) {
        observers += observer
        observer(state)
    }

    /** Stops calling [observer]. */
    fun forget(observer: (State) -> Unit) {
        observers -= observer
    }

    /** Classifies a picture, and again whenever another model or number of threads is chosen. */
    fun classify(source: PictureSource) {
        stopLive()
        update { copy(busy = true, message = null) }
        worker.execute { workbench.classify(source) }
    }

    /** Chooses the artifact in [folder], if it can be used. */
    fun choose(folder: String) {
        if (state.models.none { it.folder == folder && it.usable }) return
        update { copy(message = null) }
        worker.execute { workbench.choose(folder) }
    }

    /** Lets the engine use [number] threads. */
    fun useThreads(number: Int) {
        if (number !in 1..state.mostThreads) return
        update { copy(threads = number, message = null) }
        worker.execute { workbench.useThreads(number) }
    }

    /** Repeats the golden check of every artifact. */
    fun checkAll() = worker.execute(workbench::checkAll)

    /** Expects frames from now on. */
    fun startLive() {
        if (state.chosen == null) return say(R.string.no_model)
        update { copy(live = Live(null, 0f), message = null) }
        worker.execute(workbench::startLive)
    }

    /** Lets frames pass; a picture that was classified before is shown again. */
    fun stopLive() {
        newest.clear()
        if (state.live != null) update { copy(live = null) }
    }

    /** Classifies [frame] unless a newer one comes first; from any thread. */
    fun offer(frame: Frame) = newest.offer(frame)

    /** Shows a sentence, until something else is asked for. */
    fun say(sentence: Int) = update { copy(message = context.getString(sentence)) }

    private fun update(change: State.() -> State) {
        state = state.change()
        observers.toList().forEach { it(state) }
    }
}
