#include "recorded_dispatch.h"
#include "executor.h"
#include "twin_executor.h"

enum { MOST_ABREAST = 8 };

/* Plans the first dispatch and those that may overlap it, as far as twins have plans for them. */
static size_t plan_twins(struct pm_team *team, struct pm_recorded_dispatch *first, struct pm_twin_run *runs)
{
    size_t count = 0;
    for (struct pm_recorded_dispatch *d = first; d && count < MOST_ABREAST && (d == first || d->overlaps); d = d->next) {
        if (!d->twin || !pm_plan_twin(&runs[count], team, d->twin, d->constants, &d->dispatch)) {
            break;
        }
        ++count;
    }
    return count;
}

int pm_run_recorded(struct pm_team *team, struct pm_recorded_dispatch *first, struct pm_recorded_dispatch **next)
{
    struct pm_twin_run runs[MOST_ABREAST];
    const size_t planned = plan_twins(team, first, runs);
    size_t count = 1;
    int error;
    if (planned == 0) {
        error = pm_execute(team, first->kernel, &first->dispatch, &first->problem);
    } else if (planned > 1 && pm_gain_abreast(team, runs, planned)) {
        count = planned;
        error = pm_run_twins_abreast(team, runs, count);
    } else {
        error = pm_run_twin(team, &runs[0]);
    }
    for (size_t i = 0; i < count; ++i, first = first->next) {
        first->problem = planned ? runs[i].problem : first->problem;
    }
    *next = first;
    return error;
}
