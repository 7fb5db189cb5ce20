/* Loaded before the C library. XNNPACK asks for memory at multiples of 32 bytes in its builds for Android, whose phones
   have no AVX-512, but uses AVX-512 where a processor has it, and its conversion of int8 to float32 needs 64. */
#include <stdlib.h>

void *memalign(size_t alignment, size_t size) {
    void *memory = NULL;
    return posix_memalign(&memory, alignment < 64 ? 64 : alignment, size) ? NULL : memory;
}
