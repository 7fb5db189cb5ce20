package edgesqueeze.demo

import android.app.Activity
import android.os.Bundle
import android.view.View
import android.widget.ListView
import android.widget.TextView

/** Lists the bundled models: what they are, what their checks gave, which one is chosen. */
class ModelsActivity : Activity() {
    private val session get() = (application as DemoApp).session
    private val adapter by lazy { ModelsAdapter(layoutInflater) }
    private val show = ::render

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_models)
        val list = findViewById<ListView>(R.id.models)
        list.adapter = adapter
        list.setOnItemClickListener { _, _, position, _ -> session.choose(adapter.getItem(position).folder) }
        onClick(R.id.back) { finish() }
        onClick(R.id.check_all) { session.checkAll() }
        onClick(R.id.fewer) { session.useThreads(session.state.threads - 1) }
        onClick(R.id.more) { session.useThreads(session.state.threads + 1) }
    }

    override fun onStart() {
        super.onStart()
        session.observe(show)
    }

    override fun onStop() {
        session.forget(show)
        super.onStop()
    }

    private fun render(state: State) {
        adapter.show(state.models, state.chosen)
        showGolden(findViewById(R.id.golden), state.models)
        findViewById<TextView>(R.id.threads).text = Wording(resources).threads(state.threads)
        findViewById<View>(R.id.fewer).isEnabled = state.threads > 1
        findViewById<View>(R.id.more).isEnabled = state.threads < state.mostThreads
        findViewById<View>(R.id.check_all).isEnabled = state.models.all { !it.usable || it.verdict != null }
        val status = findViewById<TextView>(R.id.status)
        status.text = state.problem ?: state.message
        status.visibility = visibleIf(status.text.isNotEmpty())
    }

    private fun onClick(id: Int, action: () -> Unit) = findViewById<View>(id).setOnClickListener { action() }
}
