package io.netty.handler.codec.http.multipart;

/**
 * A form that cannot be read, as the fault of whoever sent it.
 *
 * Netty throws an exception of this name, and TorchServe, which does not know it, answers 500.
 * It answers 403 to an IllegalArgumentException. `config.properties` lets the JVM find this class
 * first: docs/architecture/ADRs/0015-a-form-that-java-cannot-read.md.
 *
 *     javac --release 11 -g:none -cp . '…/HttpPostRequestDecoder$ErrorDataDecoderException.java'
 */
public class HttpPostRequestDecoder$ErrorDataDecoderException extends IllegalArgumentException {
    private static final long serialVersionUID = 1L;

    public HttpPostRequestDecoder$ErrorDataDecoderException() {
        this((Throwable) null);
    }

    public HttpPostRequestDecoder$ErrorDataDecoderException(String netty) {
        this((Throwable) null);
    }

    public HttpPostRequestDecoder$ErrorDataDecoderException(String netty, Throwable cause) {
        this(cause);
    }

    public HttpPostRequestDecoder$ErrorDataDecoderException(Throwable cause) {
        super("The body cannot be read as a form: a part has no name, a line is missing, or it is a "
                + "photo that came without its Content-Type. Send curl -F image=@photo.jpg, or "
                + "-H 'Content-Type: image/jpeg' --data-binary @photo.jpg.", cause);
    }
}
