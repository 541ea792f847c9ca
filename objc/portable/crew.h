/* Crews: threads of a team that run a dispatch together and meet between its phases. */
#ifndef PM_CREW_H
#define PM_CREW_H
#include "team.h"
#include "twin.h"

struct pm_crew_work {
    void (*run)(const void *context, struct msl_crew_member *member);
    const void *context;
    size_t most;                /* threads; the team may have fewer to spare */
    uint64_t cost;              /* nanoseconds that one thread would take, roughly; 0: unknown */
    size_t workspace, shared;   /* bytes, of each member and of all together */
};

/* Calls `run` on the calling thread, as member 0, and on others of the team. Returns 0, or an errno value if a thread
 * could not be made: then nothing was done. Nor was it, if `*problem` says why, without memory. */
int pm_crew_run(struct pm_team *team, const struct pm_crew_work *work, const char **problem);

#endif
