/* Runs the kernels of kernels.metal on threads of a team: usage: program CASE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "executor.h"
#include "fiber.h"
#include "thread.h"

extern const struct msl_program PROGRAM;

static int failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            ++failures;                                                                                                \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                    \
        }                                                                                                              \
    } while (0)

static struct pm_team *team;

static const struct msl_kernel *find(const char *name)
{
    for (size_t i = 0; i < PROGRAM.kernel_count; ++i) {
        if (strcmp(PROGRAM.kernels[i].name, name) == 0) {
            return &PROGRAM.kernels[i];
        }
    }
    fprintf(stderr, "no kernel %s\n", name);
    exit(2);
}

static struct msl_dispatch make_dispatch(uint32_t x, uint32_t y, uint32_t z, uint32_t groups)
{
    return (struct msl_dispatch){.threads_per_threadgroup = {x, y, z}, .threadgroups = {groups, 1, 1}};
}

static void bind(struct msl_dispatch *dispatch, int index, void *contents, size_t length)
{
    dispatch->buffers[index] = (struct msl_buffer){contents, length, NULL};
}

/* Prints how the dispatch ended, if not well. */
static int run(const char *kernel, struct msl_dispatch *dispatch)
{
    const char *problem;
    const int error = pm_execute(team, find(kernel), dispatch, &problem);
    if (error || problem || dispatch->violation) {
        printf("%s: %s%s\n", kernel, problem ? problem : "", dispatch->violation ? dispatch->violation : "");
        return 0;
    }
    return 1;
}

/* ---- Cases ---- */

static void sum_blocks(uint32_t x, uint32_t y, uint32_t z, uint32_t width, uint32_t height)
{
    const uint32_t count = x * y * z, groups = width * height;
    float *in = calloc(groups * count, sizeof *in), *out = calloc(groups * count, sizeof *out);
    for (uint32_t i = 0; i < groups * count; ++i) {
        in[i] = (float)(i * 7 % 5);
    }
    struct msl_dispatch dispatch = make_dispatch(x, y, z, width);
    dispatch.threadgroups[1] = height;
    bind(&dispatch, 0, in, groups * count * sizeof *in);
    bind(&dispatch, 1, out, groups * count * sizeof *out);
    CHECK(run("block_sums_float", &dispatch));
    int wrong = 0;
    for (uint32_t first = 0; first < groups * count; first += count) {
        float total = 0;
        for (uint32_t i = 0; i < count; ++i) {
            total += in[first + i];
        }
        for (uint32_t i = 0; i < count; ++i) {
            wrong += out[first + i] != total + 1000 * in[first + count - 1 - i] + 1e6f * in[first + count - 1];
        }
    }
    CHECK(wrong == 0);
    free(in);
    free(out);
}

static void sums(void)
{
    static const size_t threads[] = {1, 2, 5};
    for (int i = 0; i < 3; ++i) {
        pm_team_set_thread_count(team, threads[i]);
        sum_blocks(1, 1, 1, 9, 2);
        sum_blocks(2, 1, 1, 50, 3);
        sum_blocks(4, 2, 8, 7, 3);
        sum_blocks(16, 8, 1, 1, 4);
        sum_blocks(256, 1, 1, 3, 1);
    }
}

static void rotate(void)
{
    enum { COUNT = 3 * 2 * 4 };
    uint32_t list[COUNT], rounds = 7;
    for (uint32_t i = 0; i < COUNT; ++i) {
        list[i] = i;
    }
    struct msl_dispatch dispatch = make_dispatch(3, 2, 4, 1);
    bind(&dispatch, 0, list, sizeof list);
    bind(&dispatch, 1, &rounds, sizeof rounds);
    CHECK(run("rotate", &dispatch));
    for (uint32_t i = 0; i < COUNT; ++i) {
        CHECK(list[i] == (i + rounds) % COUNT);
    }
}

static int exchange_with(uint32_t shift)
{
    enum { COUNT = 8 };
    uint32_t out[COUNT];
    struct msl_dispatch dispatch = make_dispatch(COUNT, 1, 1, 1);
    bind(&dispatch, 0, out, sizeof out);
    bind(&dispatch, 1, &shift, sizeof shift);
    dispatch.threadgroup_lengths[0] = COUNT * 4;
    dispatch.threadgroup_lengths[1] = COUNT * 2;
    dispatch.threadgroup_lengths[3] = 16;
    CHECK(find("exchange")->memory_size == 16 && pm_threadgroup_memory(find("exchange"), &dispatch) == 80);
    if (!run("exchange", &dispatch)) {
        return 0;
    }
    for (uint32_t i = 0; i < COUNT; ++i) {
        CHECK(out[i] == 71000000 + 1010 * ((i + 1) % COUNT));
    }
    return 1;
}

static void memory(void)
{
    enum { GROUPS = 40 };
    uint32_t out[8 * GROUPS] = {0};
    CHECK(exchange_with(0));
    struct msl_dispatch dispatch = make_dispatch(8, 1, 1, GROUPS);
    bind(&dispatch, 0, out, sizeof out);
    CHECK(run("read_uninitialised", &dispatch));
    for (int i = 0; i < 8 * GROUPS; ++i) {
        CHECK(out[i] == UINT32_MAX);
    }
}

static void deep(void)
{
    float out[6 * 64] = {0};
    struct msl_dispatch dispatch = make_dispatch(64, 1, 1, 6);
    bind(&dispatch, 0, out, sizeof out);
    CHECK(run("deep", &dispatch));
    for (int at = 0; at < 6 * 64; ++at) {
        const int i = at % 64;
        float expected = 2.0f * (float)i;
        for (int k = 0; k < 8192; k += 64) {
            expected += (float)((k * 37 + i) % 8192);
        }
        CHECK(out[at] == expected);
    }
}

static void diverge(void)
{
    static const uint32_t limits[] = {1, 15, 16, 0};
    for (uint32_t early = 0; early < 2; ++early) {
        for (int i = 0; i < 4; ++i) {
            uint32_t out[3 * 16] = {0}, limit = limits[i];
            struct msl_dispatch dispatch = make_dispatch(16, 1, 1, 3);
            bind(&dispatch, 0, out, sizeof out);
            bind(&dispatch, 1, &limit, sizeof limit);
            bind(&dispatch, 2, &early, sizeof early);
            CHECK(run("diverge", &dispatch) == (limit == 16 || limit == 0));
            rotate();                   /* other threadgroups are none the worse */
        }
    }
}

static size_t address_space(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%zu", &pages) == 1);
    if (file) {
        fclose(file);
    }
    return pages * 4096;
}

static void rest(void)
{
    const size_t stacks = (size_t)256 * PM_FIBER_STACK_SIZE;
    pm_team_set_thread_count(team, 1);
    rotate();
    const size_t before = address_space();
    sum_blocks(256, 1, 1, 3, 1);
    const size_t kept = address_space();
    sum_blocks(256, 1, 1, 3, 1);
    CHECK(kept >= before + stacks / 2 && address_space() < kept + stacks / 2);
    pm_thread_rest();
    CHECK(address_space() < before + stacks / 2);
    sum_blocks(2, 1, 1, 3, 1);
}

static void no_memory(void)
{
    const struct rlimit limit = {address_space() + (16 << 20), RLIM_INFINITY};
    pm_team_set_thread_count(team, 1);
    setrlimit(RLIMIT_AS, &limit);
    float out[1024];
    struct msl_dispatch dispatch = make_dispatch(1024, 1, 1, 1);
    bind(&dispatch, 0, out, sizeof out);
    CHECK(!run("deep", &dispatch));
    rotate();
}

static void race(void)
{
    uint32_t list[64];
    struct msl_dispatch dispatch = make_dispatch(16, 1, 1, 1);
    bind(&dispatch, 0, list, sizeof list);
    CHECK(run("race", &dispatch));
}

static void overrun(void)
{
    CHECK(!exchange_with(40));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"sums", sums}, {"rotate", rotate},       {"memory", memory}, {"deep", deep},       {"diverge", diverge},
        {"rest", rest}, {"no_memory", no_memory}, {"race", race},     {"overrun", overrun},
    };
    team = pm_team_create(3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        if (argc == 2 && strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run();
            pm_team_destroy(team);
            pm_thread_rest();
            return failures != 0;
        }
    }
    return 2;
}
