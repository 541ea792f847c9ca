/* Tuned twins of hot kernels: what one offers, and what the device that runs it provides. Plain C.
 *
 * A twin has the name and the bindings of a kernel of metal/ and stores the same results, up to rounding. The device
 * asks it for a plan of a dispatch; a twin that has none (say, for weights that are not finite) leaves the dispatch to
 * its kernel.
 * There are two kinds. One consists of items that any threads may run in any order. The other is run by a crew of
 * threads that meet between its phases. The results of neither depend on how many threads there are. */
#ifndef MSL_TWIN_H
#define MSL_TWIN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "msl_program.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { MSL_PLAN_WORDS = 64, MSL_CONSTANT_COUNT = 32 };

struct msl_plan {
    size_t items;                   /* of a twin with a crew: the most threads that it has work for */
    size_t workspace;               /* bytes that a thread needs while it runs items, aligned to a cache line */
    size_t shared;                  /* bytes that a crew has together, aligned likewise */
    size_t meetings;                /* of a crew; 0: its members share out what depends on nothing else */
    uint64_t cost;                  /* nanoseconds that one thread would take, roughly; 0: unknown. Small work does not
                                     * wake up threads, and a crew waits for no thread longer than it can gain by it. */
    uint64_t words[MSL_PLAN_WORDS]; /* the twin's own */
};

/* What a dispatch is, besides its bindings. */
struct msl_twin_call {
    const struct msl_dispatch *dispatch;
    uint32_t constants[MSL_CONSTANT_COUNT];     /* function constants by index, as 32 bits */
    unsigned threads;                           /* that will share the items */
};

/* One thread of a crew. */
struct msl_crew_member {
    struct msl_crew *crew;          /* the device's */
    unsigned index, count;          /* which one of how many */
    void *workspace, *shared;       /* as the plan wants them; uninitialised */
    uint32_t round, wanted;         /* the device's, and the next */
    bool parts;
};

struct msl_twin {
    const char *kernel;
    bool (*plan)(struct msl_plan *plan, const struct msl_twin_call *call);
    /* One of the two. */
    void (*run)(const struct msl_plan *plan, const struct msl_twin_call *call, size_t item, void *workspace);
    void (*run_together)(const struct msl_plan *plan, const struct msl_twin_call *call, struct msl_crew_member *member);
};

/* The twins of one instruction set; an entry without a kernel ends them. */
struct msl_twin_table {
    const char *isa;                /* as in the environment variable MPSRNN_ISA */
    const struct msl_twin *twins;
};

/* Written by the build; an entry without an instruction set ends it. */
extern const struct msl_twin_table msl_twin_tables[];

/* Provided by the device: memory derived from a buffer that is never written again, made at the first call with this
 * `key` and freed with the buffer. `fill` may be called while other threads wait. NULL: no memory. */
const void *msl_derived(const struct msl_buffer *buffer, uint64_t key, size_t size,
                        void (*fill)(void *to, const void *context), const void *context);

/* Provided by the device: waits for all members of the crew; each then sees what the others have written. If one came
 * so late that the processor must be busy with something else, the crew soon goes on as its first member alone: `count`
 * may differ afterwards, and a member for whom this returns false returns from the twin at once. */
bool msl_meet(struct msl_crew_member *member);

/* The two halves of a meeting: tells that this member has come, and waits for the others. In between, if the first returns
 * true, it may do what needs nothing of theirs, and change nothing but its workspace. */
bool msl_arrive(struct msl_crew_member *member);
bool msl_leave(struct msl_crew_member *member);

#ifdef __cplusplus
}
#endif
#endif
