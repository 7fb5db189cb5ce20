package edgesqueeze.model

import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.security.MessageDigest

/** The source of artifact files: an APK's assets, or a folder. Both throw IOException for a missing file. */
interface ArtifactFiles {
    fun open(path: String): InputStream

    /** The bytes of a file in a direct buffer, memory-mapped if possible. */
    fun map(path: String): ByteBuffer
}

/** A folder that `edge-squeeze bundle` copied, with a manifest that this app supports. */
class Artifact(val folder: String, val manifest: Manifest, private val files: ArtifactFiles) {

    /** The model's bytes; throws ArtifactRefused if they have changed since the export. */
    fun model(): ByteBuffer {
        val bytes = reading(manifest.file.name) { files.map("$folder/${manifest.file.name}") }
        requireHash(manifest.file, bytes.duplicate())
        return bytes
    }

    /** The names of the classes; throws ArtifactRefused if the file has changed, or has the wrong number of names. */
    fun labels(): List<String> {
        val bytes = read(manifest.labels.name)
        requireHash(manifest.labels, ByteBuffer.wrap(bytes))
        val names = String(bytes, Charsets.UTF_8).lines().dropLastWhile(String::isEmpty)
        if (names.size != manifest.classes) {
            throw ArtifactRefused("${manifest.labels.name} has ${names.size} names for ${manifest.classes} classes.")
        }
        return names
    }

    /** The bytes of one of the artifact's small files. */
    fun read(name: String): ByteArray = reading(name) { open(name).use(InputStream::readBytes) }

    /** A stream of one of the artifact's files. */
    fun open(name: String): InputStream = files.open("$folder/$name")

    private fun <T> reading(name: String, read: () -> T): T = try {
        if (name.startsWith("/") || ".." in name.split("/")) throw IOException("it is outside the folder")
        read()
    } catch (error: IOException) {
        throw ArtifactRefused("Cannot read $name (${error.message}). Bundle the artifact again.", error)
    }

    companion object {
        /** The artifact in [folder], fully checked; throws ArtifactRefused with the reason if it cannot be used. */
        fun load(folder: String, files: ArtifactFiles): Artifact {
            val text = try {
                files.open("$folder/model.json").use { String(it.readBytes(), Charsets.UTF_8) }
            } catch (error: IOException) {
                throw ArtifactRefused("The artifact has no model.json. Bundle it again.", error)
            }
            return Artifact(folder, Manifest.parse(text), files).also {
                it.model()
                it.labels()
            }
        }
    }
}

private fun requireHash(file: HashedFile, bytes: ByteBuffer) {
    val digest = MessageDigest.getInstance("SHA-256").apply { update(bytes) }.digest()
    val got = digest.joinToString("") { "%02x".format(it) }
    if (got != file.sha256) {
        val hashes = "required sha256 ${file.sha256}, got $got"
        throw ArtifactRefused("${file.name} is not the file that was exported: $hashes. Bundle the artifact again.")
    }
}
