package edgesqueeze.demo

import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.BaseAdapter
import android.widget.RadioButton
import android.widget.TextView

/** A row for each model; those that cannot be used are gray, say why, and cannot be tapped. */
internal class ModelsAdapter(private val inflater: LayoutInflater) : BaseAdapter() {
    private val wording = Wording(inflater.context.resources)
    private var models = emptyList<Model>()
    private var chosen: Model? = null

    /** Shows [models]. */
    fun show(models: List<Model>, chosen: Model?) {
        this.models = models
        this.chosen = chosen
        notifyDataSetChanged()
    }

    override fun getCount() = models.size

    override fun getItem(position: Int) = models[position]

    override fun getItemId(position: Int) = position.toLong()

    override fun areAllItemsEnabled() = false

    override fun isEnabled(position: Int) = models[position].usable

    override fun getView(position: Int, recycled: View?, parent: ViewGroup): View {
        val view = recycled ?: inflater.inflate(R.layout.model, parent, false)
        fill(view, models[position])
        return view
    }

    private fun fill(view: View, model: Model) {
        val name = view.findViewById<TextView>(R.id.name)
        name.text = model.name
        name.setTextColor(view.context.getColor(if (model.usable) R.color.text else R.color.text_quiet))
        val facts = view.findViewById<TextView>(R.id.facts)
        facts.text = model.artifact?.let { wording.facts(it.manifest) }
        facts.visibility = visibleIf(model.artifact != null)
        val verdict = view.findViewById<TextView>(R.id.verdict)
        verdict.text = wording.check(model)
        verdict.setTextColor(view.context.getColor(if (model.usable) color(listOf(model.verdict)) else R.color.bad))
        val button = view.findViewById<RadioButton>(R.id.chosen)
        button.isChecked = model.folder == chosen?.folder
        button.isEnabled = model.usable
    }
}
