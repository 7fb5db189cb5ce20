/* What Android's C library has and this machine's lacks, as far as libtensorflowlite_jni.so asks for it.
   Built as libc.so; everything else that the library asks of libc.so comes from the C library already loaded. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BIONIC_FILE_BYTES 152
/* Behind a FILE, glibc keeps the address of its functions, and refuses one without. */
#define FILE_BYTES (sizeof(FILE) + sizeof(void *))

/* Android's stdin, stdout and stderr are elements of this array. The library writes to the third only, by functions
   of this machine, so a copy of this machine's FILE must lie there: it is larger, hence the room after it. */
char __sF[2 * BIONIC_FILE_BYTES + FILE_BYTES] __attribute__((aligned(16)));

__attribute__((constructor)) static void open_stderr(void) {
    memcpy(__sF + 2 * BIONIC_FILE_BYTES, stderr, FILE_BYTES);
}

int *__errno(void) {
    return __errno_location();
}

size_t __strlen_chk(const char *text, size_t room) {
    (void)room;
    return strlen(text);
}

/* The only property is Android's version, that of the tests: where it is unknown, TFLite does without XNNPACK. */
int __system_property_get(const char *name, char *value) {
    strcpy(value, strcmp(name, "ro.build.version.sdk") == 0 ? "34" : "");
    return (int)strlen(value);
}

void android_set_abort_message(const char *message) {
    fprintf(stderr, "%s\n", message);
}

/* The log of Android is not kept. */
int __android_log_vprint(int priority, const char *tag, const char *format, va_list arguments) {
    (void)priority, (void)tag, (void)format, (void)arguments;
    return 0;
}

int __android_log_print(int priority, const char *tag, const char *format, ...) {
    (void)priority, (void)tag, (void)format;
    return 0;
}
