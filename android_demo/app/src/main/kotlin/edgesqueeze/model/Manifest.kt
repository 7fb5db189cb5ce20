package edgesqueeze.model

import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject
import kotlin.math.pow

/** The version of model.json and index.json that this app supports. */
const val SCHEMA_VERSION = 1

/** How the numbers of a tensor are stored. */
enum class DType(val key: String, val bytes: Int) {
    FLOAT32("float32", Float.SIZE_BYTES),
    UINT8("uint8", 1),
    INT8("int8", 1),
}

/** The order of a tensor's dimensions. */
enum class Layout(val key: String) { NHWC("nhwc"), NCHW("nchw"), NC("nc") }

/** The meaning of a tensor's numbers. */
enum class Content(val key: String) {
    PIXELS("pixels"),
    PROBABILITIES("probabilities"),
    LOGITS("logits"),
    SCORES("scores"),
}

/** How a picture is resized before it is cropped. */
enum class Resize(val key: String) { CROP("crop"), STRETCH("stretch") }

/** An input or output: real value = (stored value - [zeroPoint]) * [scale], where [scale] is not null. */
data class TensorSpec(
    val name: String,
    val shape: List<Int?>,
    val dtype: DType,
    val layout: Layout,
    val content: Content,
    val scale: Float?,
    val zeroPoint: Int,
)

/** How a picture becomes the input of the model; the channels' order, mean and scale are part of the model. */
data class Preprocessing(
    val resize: Resize,
    val filter: Filter,
    val shortSide: Int,
    val cropHeight: Int,
    val cropWidth: Int,
    val pad: Padding,
    val padValue: List<Int>,
) {
    val height get() = cropHeight + pad.top + pad.bottom
    val width get() = cropWidth + pad.left + pad.right
}

/** Pixels added to each side after the crop. */
data class Padding(val top: Int, val bottom: Int, val left: Int, val right: Int)

/** The golden picture's scores with a family of kernels, and how much kernels of that family may differ. */
data class GoldenScores(val file: String, val tolerance: Float)

/** The files with which an app checks its preprocessing and its engine. */
data class Golden(val picture: String, val pixels: String, val scores: Map<String, GoldenScores>)

/** A file and the hash that its bytes must have. */
data class HashedFile(val name: String, val sha256: String)

/** When the answer is "none of these": if the highest of the probabilities, at [temperature], is below [threshold]. */
data class Rejection(val temperature: Double, val threshold: Double) {

    /** Whether no class is likely enough to be the answer, judging by the probabilities in [scores]. */
    fun rejects(scores: FloatArray): Boolean {
        val highest = scores.max().toDouble()
        if (highest <= 0) return true
        return 1 / scores.sumOf { (it / highest).pow(1 / temperature) } < threshold
    }
}

/** The content of model.json; docs/artifact.md of the project explains each key. */
data class Manifest(
    val name: String,
    val format: String,
    val precision: String,
    val file: HashedFile,
    val sizeBytes: Long,
    val classes: Int,
    val labels: HashedFile,
    val input: TensorSpec,
    val output: TensorSpec,
    val preprocessing: Preprocessing,
    val golden: Golden,
    val parity: String,
    val reject: Rejection? = null,
) {
    companion object {
        /** The manifest in the text of a model.json; throws ArtifactRefused if this app does not support it. */
        fun parse(text: String): Manifest = try {
            val json = JSONObject(text)
            requireVersion(json, "model.json")
            json.manifest().also(::requireConsistent)
        } catch (error: JSONException) {
            throw ArtifactRefused("Cannot read model.json: ${error.message}. Export the artifact again.", error)
        }
    }
}

/** Throws ArtifactRefused for a [file] that a later version of edge-squeeze wrote. */
internal fun requireVersion(json: JSONObject, file: String) {
    val version = json.opt("schema_version")
    if (version != SCHEMA_VERSION) {
        val todo = "Create it again with the version of edge-squeeze that this app came with, or update the app"
        throw ArtifactRefused("$file has schema version $version; this app supports $SCHEMA_VERSION. $todo.")
    }
}

private fun requireConsistent(manifest: Manifest) = with(manifest) {
    val pixels = listOf(preprocessing.height, preprocessing.width, CHANNELS)
    val seen = when (input.layout) {
        Layout.NCHW -> input.shape.drop(2) + input.shape.getOrNull(1)
        else -> input.shape.drop(1)
    }
    if (seen != pixels) refuse("the input is ${input.shape}, but preprocessing produces $pixels")
    if (output.shape.lastOrNull() != classes) refuse("the output is ${output.shape}, but there are $classes classes")
    if (input.content != Content.PIXELS) refuse("the input is ${input.content.key}, not pixels")
}

private fun refuse(reason: String): Nothing = throw ArtifactRefused("model.json contradicts itself: $reason.")

private fun JSONObject.manifest(): Manifest {
    val file = getJSONObject("file")
    return Manifest(
        name = getString("name"),
        format = getString("format"),
        precision = getString("precision"),
        file = file.hashedFile(),
        sizeBytes = file.getLong("size_bytes"),
        classes = getInt("classes"),
        labels = getJSONObject("labels").hashedFile(),
        input = getJSONObject("input").tensor(),
        output = getJSONObject("output").tensor(),
        preprocessing = getJSONObject("preprocessing").preprocessing(),
        golden = getJSONObject("golden").golden(),
        parity = getJSONObject("parity").getString("verdict"),
        reject = optJSONObject("reject")?.let { Rejection(it.getDouble("temperature"), it.getDouble("threshold")) },
    )
}

private fun JSONObject.hashedFile() = HashedFile(getString("name"), getString("sha256"))

private fun JSONObject.tensor() = TensorSpec(
    name = getString("name"),
    shape = getJSONArray("shape").let { sides -> List(sides.length()) { if (sides.isNull(it)) null else sides.getInt(it) } },
    dtype = one("dtype", DType.values()) { it.key },
    layout = one("layout", Layout.values()) { it.key },
    content = one("content", Content.values()) { it.key },
    scale = if (isNull("scale")) null else getDouble("scale").toFloat(),
    zeroPoint = if (isNull("zero_point")) 0 else getInt("zero_point"),
)

internal fun JSONObject.preprocessing(): Preprocessing {
    val (height, width) = getJSONArray("crop").ints(2)
    val (top, bottom, left, right) = getJSONArray("pad").ints(4)
    val filter = if (has("filter")) one("filter", Filter.values()) { it.key } else Filter.BILINEAR
    val resize = if (has("resize")) one("resize", Resize.values()) { it.key } else Resize.CROP
    val padding = Padding(top, bottom, left, right)
    val padValue = getJSONArray("pad_value").ints(CHANNELS)
    return Preprocessing(resize, filter, getInt("short_side"), height, width, padding, padValue).also {
        if (minOf(height, width) < 1 || maxOf(height, width) > it.shortSide) {
            refuse("it crops $height x $width pixels from a picture whose short side is ${it.shortSide}")
        }
    }
}

private fun JSONObject.golden(): Golden {
    val scores = getJSONObject("scores")
    val families = scores.keys().asSequence().associateWith { family ->
        val entry = scores.getJSONObject(family)
        GoldenScores(entry.getString("file"), entry.getDouble("tolerance").toFloat())
    }
    return Golden(getString("picture"), getString("pixels"), families)
}

private fun JSONArray.ints(count: Int): List<Int> {
    if (length() != count) throw JSONException("required $count numbers, got $this")
    return List(count) { getInt(it) }
}

private fun <T> JSONObject.one(key: String, choices: Array<T>, name: (T) -> String): T =
    choices.find { name(it) == getString(key) } ?: throw unknown(key, getString(key), choices.map(name))

private fun unknown(key: String, got: String, known: List<String>) =
    ArtifactRefused("model.json requires the $key $got; this app supports ${known.joinToString()}. Update the app.")
