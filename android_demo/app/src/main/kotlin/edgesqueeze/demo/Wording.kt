package edgesqueeze.demo

import android.content.res.Resources
import edgesqueeze.model.ArtifactRefused
import edgesqueeze.model.Classification
import edgesqueeze.model.ENGINES
import edgesqueeze.model.EngineUnavailable
import edgesqueeze.model.GoldenResult
import edgesqueeze.model.Manifest
import edgesqueeze.model.PictureUnreadable
import java.util.Locale

/** The texts of the screens. */
class Wording(private val resources: Resources) {

    /** "87.5 %" of a score from 0 to 1. */
    fun percent(score: Float): String = resources.getString(R.string.percent, figure("%.1f", score * PER_CENT))

    /** The times that a still picture took. */
    fun timings(of: Classification): String =
        resources.getString(R.string.timings, ms(of.decodeMs), ms(of.preprocessMs), ms(of.inferenceMs))

    /** The times that the newest frame took, and the number of frames per second. */
    fun liveTimings(of: Classification, picturesPerSecond: Float): String {
        val rate = figure("%.1f", picturesPerSecond)
        return resources.getString(R.string.live_timings, ms(of.preprocessMs), ms(of.inferenceMs), rate)
    }

    /** The chosen model's precision, engine and threads. */
    fun facts(state: State): String {
        val manifest = state.chosen?.artifact?.manifest ?: return ""
        val engine = state.engine ?: engine(manifest)
        return listOf(manifest.precision, engine, threads(state.threads)).joined()
    }

    /** A listed model's precision, size, engine and parity at export. */
    fun facts(manifest: Manifest): String {
        val megabytes = resources.getString(R.string.megabytes, figure("%.2f", manifest.sizeBytes / BYTES_PER_MB))
        return listOf(manifest.precision, megabytes, engine(manifest), proof(manifest)).joined()
    }

    /** "4 threads". */
    fun threads(number: Int): String = resources.getQuantityString(R.plurals.threads, number, number)

    /** The golden checks of all models in one line; empty if there is nothing to check. */
    fun golden(models: List<Model>): String {
        val usable = models.filter(Model::usable)
        val verdicts = usable.mapNotNull(Model::verdict)
        val failed = usable.filter { it.verdict?.passed == false }.joinToString(transform = Model::name)
        return when {
            usable.isEmpty() -> ""
            verdicts.size < usable.size -> resources.getString(R.string.golden_running, verdicts.size, usable.size)
            failed.isNotEmpty() -> resources.getString(R.string.golden_fail, failed)
            else -> resources.getString(R.string.golden_pass, usable.size, usable.size)
        }
    }

    /** A model's own golden check, or why there is none. */
    fun check(model: Model): String = when {
        model.problem != null -> model.problem
        model.verdict == null -> resources.getString(R.string.check_pending)
        model.verdict.passed -> resources.getString(R.string.check_pass, model.verdict.text)
        else -> resources.getString(R.string.check_fail, model.verdict.text)
    }

    /** The verdict of a golden check with its figures. */
    fun verdict(result: GoldenResult, manifest: Manifest): Verdict {
        val size = resources.getString(R.string.size, manifest.preprocessing.width, manifest.preprocessing.height)
        val pixels = when (result.pixelsThatDiffer) {
            0 -> resources.getString(R.string.pixels_equal, size)
            else -> resources.getString(R.string.pixels_differ, result.pixelsThatDiffer, size)
        }
        val scores = if (result.largestDifference <= result.tolerance) R.string.scores_within else R.string.scores_off
        val difference = figure("%.1e", result.largestDifference)
        val allowed = figure("%.1e", result.tolerance)
        val differences = resources.getString(scores, difference, allowed)
        return Verdict(result.passed, resources.getString(R.string.check_figures, pixels, differences, result.engine))
    }

    /** The message about [error] for the user. */
    fun problem(error: Throwable): String = when (error) {
        is ArtifactRefused, is EngineUnavailable, is PictureUnreadable -> error.message.orEmpty()
        is OutOfMemoryError -> resources.getString(R.string.out_of_memory)
        else -> resources.getString(R.string.failed, error.toString())
    }

    private fun engine(manifest: Manifest) = ENGINES[manifest.format]?.name ?: manifest.format

    private fun proof(manifest: Manifest) = when (manifest.parity) {
        "pass" -> resources.getString(R.string.proven)
        "fail" -> resources.getString(R.string.failed_its_proof)
        else -> resources.getString(R.string.unproven)
    }

    private fun ms(time: Float): String =
        resources.getString(R.string.milliseconds, figure(if (time < FEW_MS) "%.1f" else "%.0f", time))

    private fun figure(format: String, number: Number): String = String.format(Locale.ROOT, format, number.toDouble())

    private fun List<String>.joined() = joinToString(" \u00b7 ")

    private companion object {
        const val PER_CENT = 100
        const val FEW_MS = 10
        const val BYTES_PER_MB = 1e6
    }
}
