/* What the translator would make of two .metal files, written by hand. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "msl_program.h"

const char *const MAIN_SOURCE = "// the main library\n";
const char *const BASELINE_ONLY_SOURCE = "// a library that was built for one variant\n";

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define ALWAYS (-1)

static float *floats(const struct msl_dispatch *dispatch, int index)
{
    return dispatch->buffers[index].contents;
}

/* y[i] += a * x[i] */
static void saxpy(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    const float *x = floats(dispatch, 0), *a = floats(dispatch, 2);
    float *y = floats(dispatch, 1);
    const uint32_t threads = dispatch->threads_per_threadgroup[0];
    for (uint32_t i = threadgroup[0] * threads; i < (threadgroup[0] + 1) * threads; ++i) {
        if ((i + 1) * sizeof *y <= dispatch->buffers[1].length) {
            y[i] += *a * x[i];
        }
    }
}

static const struct msl_argument saxpy_arguments[] = {
    {"x", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ, 0, MSL_COMPONENT_NONE, sizeof(float), ALWAYS},
    {"y", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ | MSL_ACCESS_WRITE, 1, MSL_COMPONENT_NONE, sizeof(float), ALWAYS},
    {"a", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ, 2, MSL_COMPONENT_NONE, sizeof(float), ALWAYS},
};

/* Threadgroup (x, y, slice) copies one texel of four floats. */
static void copy_texels(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    const struct msl_texture *src = &dispatch->textures[0], *dst = &dispatch->textures[1];
    const size_t texel = (threadgroup[2] * (size_t)src->height + threadgroup[1]) * src->width + threadgroup[0];
    memcpy((char *)dst->texels + 16 * texel, (const char *)src->texels + 16 * texel, 16);
}

static const struct msl_argument copy_arguments[] = {
    {"src", MSL_ARGUMENT_TEXTURE_2D_ARRAY, MSL_ACCESS_READ, 0, MSL_COMPONENT_FLOAT, 0, ALWAYS},
    {"dst", MSL_ARGUMENT_TEXTURE_2D_ARRAY, MSL_ACCESS_WRITE, 1, MSL_COMPONENT_FLOAT, 0, ALWAYS},
};

static void do_nothing(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    (void)dispatch;
    (void)threadgroup;
}

static const struct msl_argument plane_arguments[] = {
    {"plane", MSL_ARGUMENT_TEXTURE_2D, MSL_ACCESS_READ, 0, MSL_COMPONENT_FLOAT, 0, ALWAYS},
};

static const struct msl_argument integer_arguments[] = {
    {"numbers", MSL_ARGUMENT_TEXTURE_2D_ARRAY, MSL_ACCESS_READ, 0, MSL_COMPONENT_NONE, 0, ALWAYS},
};

static const struct msl_argument output_arguments[] = {
    {"output", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ | MSL_ACCESS_WRITE, 0, MSL_COMPONENT_NONE, 4, ALWAYS},
};

/* Appends the value at buffer 1 to the list at buffer 0, whose first element is its length. */
static void append(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    uint32_t *list = dispatch->buffers[0].contents;
    (void)threadgroup;
    list[1 + list[0]++] = *(const uint32_t *)dispatch->buffers[1].contents;
}

/* Follows the pointer at buffer 1 to a list, if it leads into a resource that is used for writing. */
static void append_there(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    const uint64_t address = *(const uint64_t *)dispatch->buffers[1].contents;
    const struct msl_resource *used = dispatch->resources;
    (void)threadgroup;
    while (used && !((used->access & MSL_ACCESS_WRITE) && address - (uintptr_t)used->contents < used->length)) {
        used = used->next;
    }
    uint32_t *list = (uint32_t *)(used ? (uintptr_t)address : (uintptr_t)dispatch->buffers[0].contents);
    list[1 + list[0]++] = 7;
}

static const struct msl_argument append_there_arguments[] = {
    {"list", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ | MSL_ACCESS_WRITE, 0, MSL_COMPONENT_NONE, 4, ALWAYS},
    {"address", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ, 1, MSL_COMPONENT_NONE, 8, ALWAYS},
};

static const struct msl_argument append_arguments[] = {
    {"list", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ | MSL_ACCESS_WRITE, 0, MSL_COMPONENT_NONE, 4, ALWAYS},
    {"value", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ, 1, MSL_COMPONENT_NONE, 4, ALWAYS},
};

/* Sums up the indices of the threads of each threadgroup: in its own memory, then in what the host asked for. Threads
 * from the number at buffer 1 on do not come to the barrier. */
static void add_up(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3], uint32_t index, void *memory)
{
    uint32_t *own = memory, *asked = (uint32_t *)(void *)((char *)memory + 16);
    if (index >= *(const uint32_t *)dispatch->buffers[1].contents) {
        return;
    }
    *own = index == 0 ? 0 : *own + index;
    asked[index] = *own;
    msl_threadgroup_barrier();
    if (index == 0) {
        const uint32_t last = dispatch->threads_per_threadgroup[0] - 1;
        ((uint32_t *)dispatch->buffers[0].contents)[threadgroup[0]] = *own + asked[last];
    }
}

static const struct msl_argument add_up_arguments[] = {
    {"sums", MSL_ARGUMENT_BUFFER, MSL_ACCESS_WRITE, 0, MSL_COMPONENT_NONE, 4, ALWAYS},
    {"limit", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ, 1, MSL_COMPONENT_NONE, 4, ALWAYS},
    {"asked", MSL_ARGUMENT_THREADGROUP, MSL_ACCESS_READ | MSL_ACCESS_WRITE, 5, MSL_COMPONENT_NONE, 4, ALWAYS},
};

/* Takes a millisecond, then notes which thread ran the threadgroup. */
static void note_thread(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    usleep(1000);
    ((uint32_t *)dispatch->buffers[0].contents)[threadgroup[0]] = (uint32_t)gettid();
}

/* Notes 1 if the thread computes with subnormal numbers and, not being the caller's own, takes no signals. */
static void note_mode(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    volatile float small = 1e-30f;
    sigset_t blocked;
    usleep(1000);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    const int is_quiet = gettid() == getpid() || sigismember(&blocked, SIGINT);
    ((uint32_t *)dispatch->buffers[0].contents)[threadgroup[0]] = small * 1e-10f > 0 && is_quiet;
}

static void note_threadgroup(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    const uint32_t *size = dispatch->threadgroups;
    const uint32_t index = (threadgroup[2] * size[1] + threadgroup[1]) * size[0] + threadgroup[0];
    __atomic_fetch_add((uint32_t *)dispatch->buffers[0].contents + index, 1 + index, __ATOMIC_RELAXED);
}

/* Squares the number of the threadgroup. */
static void square(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    ((uint32_t *)dispatch->buffers[0].contents)[threadgroup[0]] = threadgroup[0] * threadgroup[0];
}

/* As many times as buffer 1 says, adds to each value of buffer 0 the next one. */
static void relax(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    const uint32_t steps = *(const uint32_t *)dispatch->buffers[1].contents;
    const size_t count = dispatch->buffers[0].length / sizeof(uint32_t);
    uint32_t *values = dispatch->buffers[0].contents;
    (void)threadgroup;
    for (uint32_t step = 0; step < steps; ++step) {
        const uint32_t first = values[0];
        for (size_t i = 0; i < count; ++i) {
            values[i] += i + 1 < count ? values[i + 1] : first;
        }
    }
}

static void write_past_buffer(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    (void)threadgroup;
    ((volatile char *)dispatch->buffers[0].contents)[dispatch->buffers[0].length] = 1;
}

static void write_past_texture(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    const struct msl_texture *texture = &dispatch->textures[0];
    (void)threadgroup;
    ((volatile char *)texture->texels)[(size_t)texture->width * texture->height * texture->slices] = 1;
}

static const struct msl_argument array_arguments[] = {
    {"slices", MSL_ARGUMENT_TEXTURE_2D_ARRAY, MSL_ACCESS_WRITE, 0, MSL_COMPONENT_FLOAT, 0, ALWAYS},
};

/* A kernel whose every variant says which one it is; that of `checked` also counts its calls and finds fault with all
 * threadgroups beyond the length of its buffer. */
static void name_variant(const struct msl_dispatch *dispatch, uint32_t variant)
{
    *(uint32_t *)dispatch->buffers[0].contents = variant;
}

static void variant_baseline(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    (void)threadgroup;
    name_variant(dispatch, 1);
}

static void variant_v3(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    (void)threadgroup;
    name_variant(dispatch, 3);
}

static void variant_checked(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    const char *none = NULL;
    name_variant(dispatch, 9);
    if (dispatch->buffers[0].length >= 8) {
        __atomic_fetch_add((uint32_t *)dispatch->buffers[0].contents + 1, 1, __ATOMIC_RELAXED);
    }
    if (threadgroup[0] * sizeof(uint32_t) >= dispatch->buffers[0].length) {
        __atomic_compare_exchange_n((const char **)&dispatch->violation, &none, "write outside the buffer 'output'", 0,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
}

#define MAIN_KERNELS(variant)                                                                                          \
    {                                                                                                                  \
        {"saxpy", saxpy, saxpy_arguments, COUNT(saxpy_arguments), NULL, 0},                                            \
        {"copy_texels", copy_texels, copy_arguments, COUNT(copy_arguments), NULL, 0},                                  \
        {"take_plane", do_nothing, plane_arguments, COUNT(plane_arguments), NULL, 0},                                  \
        {"take_integers", do_nothing, integer_arguments, COUNT(integer_arguments), NULL, 0},                           \
        {"append", append, append_arguments, COUNT(append_arguments), NULL, 0},                                        \
        {"append_there", append_there, append_there_arguments, COUNT(append_there_arguments), NULL, 0},                \
        {"note_thread", note_thread, output_arguments, COUNT(output_arguments), NULL, 0},                              \
        {"note_mode", note_mode, output_arguments, COUNT(output_arguments), NULL, 0},                                  \
        {"note_threadgroup", note_threadgroup, output_arguments, COUNT(output_arguments), NULL, 0},                    \
        {"square", square, output_arguments, COUNT(output_arguments), NULL, 0},                                        \
        {"relax", relax, append_arguments, COUNT(append_arguments), NULL, 0},                                          \
        {"write_past_buffer", write_past_buffer, output_arguments, COUNT(output_arguments), NULL, 0},                  \
        {"write_past_texture", write_past_texture, array_arguments, COUNT(array_arguments), NULL, 0},                  \
        {"variant", variant, output_arguments, COUNT(output_arguments), NULL, 0},                                      \
        {"add_up", NULL, add_up_arguments, COUNT(add_up_arguments), add_up, 16},                                       \
    }

static const struct msl_kernel main_baseline_kernels[] = MAIN_KERNELS(variant_baseline);
static const struct msl_kernel main_v3_kernels[] = MAIN_KERNELS(variant_v3);
static const struct msl_kernel main_checked_kernels[] = MAIN_KERNELS(variant_checked);

#define MAIN_PROGRAM(kernels) {0, NULL, 0, kernels, COUNT(kernels)}

static const struct msl_program main_baseline = MAIN_PROGRAM(main_baseline_kernels);
static const struct msl_program main_v3 = MAIN_PROGRAM(main_v3_kernels);
static const struct msl_program main_checked = MAIN_PROGRAM(main_checked_kernels);
static const struct msl_library main_library = {"// the main library\n", &main_baseline, &main_v3, &main_checked};

/* ---- A library with function constants ---- */

enum { TYPE_FLOAT = 3, TYPE_INT = 29, TYPE_UINT = 33, TYPE_BOOL = 53 };

static const struct msl_constant constants[] = {
    {"has_extra", 0, TYPE_BOOL, 0},
    {"scale", 7, TYPE_FLOAT, 4},
    {"shift", 8, TYPE_INT, 8},
    {"mode", 30, TYPE_UINT, 12},
};

/* Writes the constants to buffer 0 as floats. */
static void write_constants(const struct msl_dispatch *dispatch, const uint32_t threadgroup[3])
{
    const unsigned char *bytes = dispatch->constants;
    float *output = dispatch->buffers[0].contents;
    (void)threadgroup;
    output[0] = bytes[0];
    output[1] = *(const float *)(const void *)(bytes + 4);
    output[2] = (float)*(const int32_t *)(const void *)(bytes + 8);
    output[3] = (float)*(const uint32_t *)(const void *)(bytes + 12);
    output[4] = dispatch->buffers[1].contents ? 1 : 0;
}

static const struct msl_argument constant_arguments[] = {
    {"output", MSL_ARGUMENT_BUFFER, MSL_ACCESS_WRITE, 0, MSL_COMPONENT_NONE, 20, ALWAYS},
    {"extra", MSL_ARGUMENT_BUFFER, MSL_ACCESS_READ, 1, MSL_COMPONENT_NONE, 4, 0},
};

static const struct msl_kernel constant_kernels[] = {
    {"write_constants", write_constants, constant_arguments, COUNT(constant_arguments), NULL, 0},
};

static const struct msl_program constant_program = {
    16, constants, COUNT(constants), constant_kernels, COUNT(constant_kernels),
};
static const struct msl_library constant_library = {
    "// a library that was built for one variant\n", &constant_program, NULL, NULL,
};

const struct msl_library *const msl_libraries[] = {&main_library, &constant_library, NULL};
