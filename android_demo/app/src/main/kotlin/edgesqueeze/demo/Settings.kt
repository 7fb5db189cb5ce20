package edgesqueeze.demo

import android.content.SharedPreferences

/**
 * What the app remembers between starts: the choice of model and threads, and golden checks.
 *
 * Checks are forgotten when [build], which identifies the installed app and the system, changes.
 */
class Settings(private val preferences: SharedPreferences, build: String) {
    init {
        if (preferences.getString(BUILD, null) != build) forgetVerdicts(build)
    }

    /** The folder of the chosen artifact; null before the first choice. */
    var chosen: String?
        get() = preferences.getString(CHOSEN, null)
        set(folder) = preferences.edit().putString(CHOSEN, folder).apply()

    /** The number of threads of an engine: from 1 to the number of cores. */
    var threads: Int
        get() = preferences.getInt(THREADS, USUAL_THREADS).coerceIn(1, mostThreads)
        set(number) = preferences.edit().putInt(THREADS, number.coerceIn(1, mostThreads)).apply()

    /** The verdict that was kept for [fingerprint], the hash of an artifact's manifest; null for none. */
    fun verdict(fingerprint: String): Verdict? = preferences.getString(GOLDEN + fingerprint, null)?.let { kept ->
        Verdict(kept.startsWith(PASS), kept.drop(1))
    }

    /** Keeps [verdict] for the artifact with this [fingerprint]. */
    fun keep(fingerprint: String, verdict: Verdict) {
        val mark = if (verdict.passed) PASS else FAIL
        preferences.edit().putString(GOLDEN + fingerprint, mark + verdict.text).apply()
    }

    private fun forgetVerdicts(build: String) {
        val editor = preferences.edit().putString(BUILD, build)
        preferences.all.keys.filter { it.startsWith(GOLDEN) }.forEach(editor::remove)
        editor.apply()
    }

    companion object {
        /** Cores of the processor. */
        val mostThreads get() = Runtime.getRuntime().availableProcessors()

        private const val USUAL_THREADS = 4 // more rarely help on phones, whose other cores are slow
        private const val BUILD = "build"
        private const val CHOSEN = "chosen"
        private const val THREADS = "threads"
        private const val GOLDEN = "golden:"
        private const val PASS = "+"
        private const val FAIL = "-"
    }
}
