package edgesqueeze.demo

import android.app.Application
import edgesqueeze.model.AssetFiles
import java.util.concurrent.Executors

/** What outlives the screens: the session with its models, and the camera. */
open class DemoApp : Application() {
    /** The only owner of the models; lives as long as the app. */
    val session by lazy { newSession() }

    /** The only user of the camera, so that it is closed before it is opened again. */
    val camera by lazy { LiveCamera(this) }

    protected open fun newSession(): Session {
        val worker = Executors.newSingleThreadExecutor { work -> Thread(work, "models") }
        return Session(this, AssetFiles(assets, "models"), worker)
    }
}
