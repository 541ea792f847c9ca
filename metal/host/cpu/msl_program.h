/* What a translated .metal file offers, and what the device that runs it provides. Plain C.
 *
 * One `msl_program` is one .metal file built for one variant (an instruction set, or `checked`). The device picks the
 * variant, fills the function constants of a pipeline, and calls a kernel once per threadgroup from any thread. */
#ifndef MSL_PROGRAM_H
#define MSL_PROGRAM_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { MSL_BUFFER_COUNT = 31, MSL_TEXTURE_COUNT = 31, MSL_THREADGROUP_COUNT = 31 };

/* What a threadgroup has of memory of its own, in bytes. */
enum { MSL_THREADGROUP_MEMORY = 32768, MSL_THREADGROUP_ALIGNMENT = 16 };

/* Texels lie as [slice][y][x][component], tightly packed. */
struct msl_texture {
    void *texels;
    uint32_t width, height, slices;
    uint32_t pixel_format;      /* MTLPixelFormat */
};

struct msl_buffer {
    void *contents;             /* offset already added */
    size_t length;              /* bytes from `contents` to the end */
    struct msl_derivation **derivations;    /* what twins have derived from the buffer; NULL for parts and copies */
};

enum msl_access { MSL_ACCESS_READ = 1, MSL_ACCESS_WRITE = 2 };

/* Memory that kernels may reach through pointers that they find in buffers, those that were added before. */
struct msl_resource {
    const struct msl_resource *next;
    void *contents;
    size_t length;
    uint32_t access;            /* of enum msl_access */
};

/* One dispatch, shared read-only by all threads that work on it, except `violation`. */
struct msl_dispatch {
    struct msl_buffer buffers[MSL_BUFFER_COUNT];
    struct msl_texture textures[MSL_TEXTURE_COUNT];
    const struct msl_resource *resources;
    uint32_t threadgroup_lengths[MSL_THREADGROUP_COUNT];    /* bytes, multiples of MSL_THREADGROUP_ALIGNMENT */
    const void *constants;      /* `constants_size` bytes, filled by the device from `constants` of the program */
    uint32_t threads_per_threadgroup[3], threadgroups[3];
    const char *violation;      /* first message of a `checked` kernel, static storage; set with __atomic builtins */
};

enum msl_argument_kind {
    MSL_ARGUMENT_BUFFER,
    MSL_ARGUMENT_TEXTURE_2D,
    MSL_ARGUMENT_TEXTURE_2D_ARRAY,
    MSL_ARGUMENT_THREADGROUP
};
enum msl_component { MSL_COMPONENT_NONE, MSL_COMPONENT_FLOAT };     /* what a texture argument yields */

struct msl_argument {
    const char *name;
    uint8_t kind, access, index, component;
    uint32_t size;              /* not of textures: bytes needed at least (sizeof of the pointee or referee) */
    int32_t constant;           /* index of the bool constant without which the argument does not exist; -1: always */
};

struct msl_constant {
    const char *name;
    uint16_t index;
    uint16_t type;              /* MTLDataType: float 3, int 29, uint 33, bool 53 */
    uint32_t offset;            /* into the constants of a pipeline */
};

struct msl_kernel {
    const char *name;
    /* Runs a threadgroup. NULL for a kernel whose threads work together. */
    void (*run_threadgroup)(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3]);
    const struct msl_argument *arguments;
    size_t argument_count;
    /* Runs one thread of such a kernel; threads are numbered along x first. `memory` is that of the threadgroup:
     * `memory_size` bytes of variables, then those of its arguments in the order of their indices. */
    void (*run_thread)(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3], uint32_t index,
                       void *memory);
    uint32_t memory_size;       /* a multiple of MSL_THREADGROUP_ALIGNMENT */
};

/* Called in run_thread: returns when all threads of the threadgroup have called it. */
void msl_threadgroup_barrier(void);

struct msl_program {
    size_t constants_size;
    const struct msl_constant *constants;
    size_t constant_count;
    const struct msl_kernel *kernels;
    size_t kernel_count;
};

/* One .metal file: its source, to the byte as newLibraryWithSource is given it, and what was built from it. */
struct msl_library {
    const char *source;
    const struct msl_program *baseline;
    const struct msl_program *x86_64_v3;    /* NULL where that instruction set does not exist */
    const struct msl_program *checked;      /* for MPSRNN_VALIDATION: every access is checked */
};

/* Written by the build: every library of the package, NULL at the end. */
extern const struct msl_library *const msl_libraries[];

#ifdef __cplusplus
}
#endif
#endif
