package edgesqueeze.demo

import android.app.Activity
import android.view.TextureView
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageView
import android.widget.ProgressBar
import android.widget.TextView
import edgesqueeze.model.Classification
import edgesqueeze.model.Classifier
import edgesqueeze.model.Prediction

/** The views of the main screen, and how they show a state. */
internal class MainScreen(private val activity: Activity) {
    val header: View = activity.findViewById(R.id.header)
    val take: Button = activity.findViewById(R.id.take)
    val pick: Button = activity.findViewById(R.id.pick)
    val live: Button = activity.findViewById(R.id.live)
    val viewfinder: TextureView = activity.findViewById(R.id.viewfinder)
    private val modelName: TextView = activity.findViewById(R.id.model_name)
    private val modelFacts: TextView = activity.findViewById(R.id.model_facts)
    private val golden: TextView = activity.findViewById(R.id.golden)
    private val invitation: View = activity.findViewById(R.id.invitation)
    private val picture: ImageView = activity.findViewById(R.id.picture)
    private val timings: TextView = activity.findViewById(R.id.timings)
    private val status: TextView = activity.findViewById(R.id.status)
    private val rows = addRows(activity.findViewById(R.id.predictions))
    private val wording = Wording(activity.resources)

    /** Shows [state]. */
    fun show(state: State) {
        showModel(state)
        showPicture(state)
        val classification = if (state.live != null) state.live.classification else state.still?.classification
        rows.forEachIndexed { i, row -> row.show(classification?.predictions?.getOrNull(i)) }
        timings.text = classification?.let { timings(it, state.live) }
        val rejected = classification?.rejected == true
        val quiet = if (state.busy) R.string.classifying else if (rejected) R.string.none_of_these else R.string.nothing
        status.text = state.message ?: activity.getString(quiet)
        status.setTextColor(activity.getColor(if (state.message != null) R.color.bad else R.color.text_quiet))
    }

    private fun showModel(state: State) {
        modelName.text = state.chosen?.name
            ?: activity.getString(if (state.loading) R.string.reading_models else R.string.without_model)
        modelFacts.text = state.problem ?: wording.facts(state)
        modelFacts.isSingleLine = state.problem == null
        showGolden(golden, state.models)
    }

    private fun showPicture(state: State) {
        val live = state.live != null
        picture.setImageBitmap(state.still?.preview)
        picture.visibility = visibleIf(!live && state.still != null)
        invitation.visibility = visibleIf(!live && state.still == null)
        viewfinder.visibility = visibleIf(live)
        viewfinder.keepScreenOn = live
        this.live.setText(if (live) R.string.stop else R.string.live)
    }

    private fun timings(of: Classification, live: Live?) =
        if (live == null) wording.timings(of) else wording.liveTimings(of, live.picturesPerSecond)

    private fun addRows(parent: ViewGroup) = List(Classifier.TOP) {
        val view = activity.layoutInflater.inflate(R.layout.prediction, parent, false)
        parent.addView(view)
        PredictionRow(view)
    }

    private inner class PredictionRow(private val view: View) {
        private val label: TextView = view.findViewById(R.id.label)
        private val percent: TextView = view.findViewById(R.id.percent)
        private val bar: ProgressBar = view.findViewById(R.id.bar)

        /** Shows [prediction]; without any it keeps its place, so that nothing jumps when one comes. */
        fun show(prediction: Prediction?) {
            view.visibility = if (prediction == null) View.INVISIBLE else View.VISIBLE
            label.text = prediction?.label
            percent.text = prediction?.let { wording.percent(it.score) }
            bar.progress = ((prediction?.score ?: 0f) * bar.max).toInt()
        }
    }
}

/** Shows the golden checks of [models] in [view], in the color of their results. */
internal fun showGolden(view: TextView, models: List<Model>) {
    val text = Wording(view.resources).golden(models)
    val verdicts = models.filter(Model::usable).map(Model::verdict)
    view.text = text
    view.visibility = visibleIf(text.isNotEmpty())
    view.setTextColor(view.context.getColor(color(verdicts)))
}

/** Subdued until every verdict is there; then red if any is a failure, else green. */
internal fun color(verdicts: List<Verdict?>) = when {
    verdicts.any { it == null } -> R.color.text_quiet
    verdicts.any { it?.passed == false } -> R.color.bad
    else -> R.color.good
}

internal fun visibleIf(condition: Boolean) = if (condition) View.VISIBLE else View.GONE
