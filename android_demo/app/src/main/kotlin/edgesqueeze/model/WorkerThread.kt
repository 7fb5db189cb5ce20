package edgesqueeze.model

import android.os.Looper

/** Throws IllegalStateException on the main thread, where [what] would make the screen stutter. */
fun requireWorkerThread(what: String) =
    check(!Looper.getMainLooper().isCurrentThread) { "$what must not run on the main thread" }
