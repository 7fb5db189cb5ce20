package edgesqueeze.model

import java.io.IOException

/** An artifact that this app refuses; the message says why and what to do. */
class ArtifactRefused(message: String, cause: Throwable? = null) : Exception(message, cause)

/** A file that is not a picture, or is incomplete; the message tells the user so. */
class PictureUnreadable(message: String, cause: Throwable? = null) : IOException(message, cause)

/** An engine that this build of the app lacks; the message says why. */
class EngineUnavailable(message: String, cause: Throwable? = null) : Exception(message, cause)
