package edgesqueeze.demo

import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Bundle

/** Classifies a picture that is taken, picked or shared by another app, or what the camera sees. */
class MainActivity : Activity() {
    private lateinit var screen: MainScreen
    private lateinit var preview: LivePreview
    private var inFront = false
    private val session get() = (application as DemoApp).session
    private val show = ::render

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        screen = MainScreen(this)
        preview = LivePreview(screen.viewfinder, (application as DemoApp).camera, session::offer, ::endLive)
        screen.header.setOnClickListener { startActivity(Intent(this, ModelsActivity::class.java)) }
        screen.take.setOnClickListener { withCamera(TAKE) }
        screen.pick.setOnClickListener { start(pickIntent(), PICK, R.string.no_picker) }
        screen.live.setOnClickListener { if (session.state.live == null) withCamera(LIVE) else session.stopLive() }
        if (savedInstanceState == null) sharedPicture(intent)?.let { session.classify(picture(contentResolver, it)) }
    }

    override fun onStart() {
        super.onStart()
        session.observe(show)
    }

    override fun onResume() {
        super.onResume()
        inFront = true
        if (session.state.live != null && !mayUseCamera()) endLive(R.string.camera_refused)
        render(session.state)
    }

    override fun onPause() {
        inFront = false
        preview.stop()
        super.onPause()
    }

    override fun onStop() {
        session.forget(show)
        super.onStop()
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        if (result != RESULT_OK) return
        when (request) {
            TAKE -> session.classify(CaptureProvider.taken(this))
            PICK -> data?.data?.let { session.classify(picture(contentResolver, it)) }
        }
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<String>, results: IntArray) {
        if (results.isEmpty()) return // interrupted: neither granted nor refused
        val granted = results.all { it == PackageManager.PERMISSION_GRANTED }
        if (granted) useCamera(request) else session.say(R.string.camera_refused)
    }

    private fun render(state: State) {
        screen.show(state)
        val shortSide = state.chosen?.artifact?.manifest?.preprocessing?.shortSide
        if (inFront && state.live != null && shortSide != null) preview.start(shortSide) else preview.stop()
    }

    /** Takes a picture or goes live; an app that declares the camera must have it granted even to ask another app. */
    private fun withCamera(request: Int) = when {
        request == LIVE && !packageManager.hasSystemFeature(PackageManager.FEATURE_CAMERA_ANY) ->
            session.say(R.string.no_camera)
        mayUseCamera() -> useCamera(request)
        else -> requestPermissions(arrayOf(Manifest.permission.CAMERA), request)
    }

    private fun useCamera(request: Int) = when (request) {
        LIVE -> session.startLive()
        else -> start(CaptureProvider.takeIntent(this), TAKE, R.string.no_camera_app)
    }

    private fun start(intent: Intent, request: Int, otherwise: Int) {
        session.stopLive()
        try {
            startActivityForResult(intent, request)
        } catch (_: ActivityNotFoundException) {
            session.say(otherwise)
        }
    }

    private fun endLive(problem: Int) {
        session.stopLive()
        session.say(problem)
    }

    private fun mayUseCamera() =
        checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    private companion object {
        const val TAKE = 1
        const val PICK = 2
        const val LIVE = 3
    }
}
