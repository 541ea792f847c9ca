#include "crew.h"
#include "waiting.h"
#include "workspace.h"

/* What the caller writes at the start, then what all members write to when they meet, on lines of their own. */
struct msl_crew {
    struct pm_task task;
    const struct pm_crew_work *work;
    void *shared;
    unsigned count;                     /* of members; changed only by the last to arrive, before the round */
    uint64_t start;
    uint64_t lost;                      /* nanoseconds that members have slept in meetings; guarded likewise */

    _Alignas(128) uint32_t enlisted;    /* atomic; members besides the caller, and whether the crew has started */
    _Alignas(128) uint32_t arrived;     /* atomic; at the next meeting */
    _Alignas(128) uint32_t round;       /* atomic; meetings that have ended, the first being the start */
    uint32_t sleepers;                  /* atomic; members that sleep until the round changes */
    uint64_t asleep_since;              /* atomic; of the last of them */
};

/* In a meeting it pays to look longer than elsewhere: the others are sure to come, and who sleeps there is a sign of
 * trouble. */
enum { MEETING_NANOSECONDS = 2 * PM_SPIN_NANOSECONDS };

static const uint32_t STARTED = UINT32_C(1) << 31;

/* A quarter of its time may a crew lose before it is better to be alone, whatever it did until then: 2 threads that
 * have worked for three quarters of the time are still ahead of one. */
enum { TOLERATED_LOSS = 4 };

static void wait_for_round(struct msl_crew *crew, uint32_t round)
{
    if (pm_spin_while_equal(&crew->round, round, MEETING_NANOSECONDS)) {
        return;
    }
    __atomic_store_n(&crew->asleep_since, pm_now(), __ATOMIC_RELAXED);
    __atomic_fetch_add(&crew->sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&crew->round, __ATOMIC_ACQUIRE) == round) {
        pm_sleep_while_equal(&crew->round, round, 0);
    }
    __atomic_fetch_sub(&crew->sleepers, 1, __ATOMIC_RELAXED);
}

/* Lets the members go on that wait for the round, and whoever has enlisted. */
static void end_round(struct msl_crew *crew, uint32_t round)
{
    __atomic_store_n(&crew->round, round + 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&crew->sleepers, __ATOMIC_SEQ_CST) > 0) {
        pm_wake_all(&crew->round);
    }
}

/* Is it better to go on alone? Asked by the last to arrive, for whom the others have waited. */
static bool has_lost_too_much(struct msl_crew *crew)
{
    if (__atomic_load_n(&crew->sleepers, __ATOMIC_RELAXED) == 0) {
        return false;
    }
    const uint64_t now = pm_now();
    const uint64_t since = __atomic_load_n(&crew->asleep_since, __ATOMIC_RELAXED);
    crew->lost += MEETING_NANOSECONDS + (now > since ? now - since : 0);
    return crew->lost > (now - crew->start) / TOLERATED_LOSS;
}

bool msl_meet(struct msl_crew_member *member)
{
    if (member->count == 1) {
        return true;
    }
    struct msl_crew *crew = member->crew;
    const uint32_t round = __atomic_load_n(&crew->round, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&crew->arrived, 1, __ATOMIC_ACQ_REL) == member->count) {
        __atomic_store_n(&crew->arrived, 0, __ATOMIC_RELAXED);
        if (has_lost_too_much(crew)) {
            crew->count = 1;
        }
        end_round(crew, round);
    } else {
        wait_for_round(crew, round);
    }
    member->count = crew->count;
    return member->index < member->count;
}

/* A thread has come. Too late, and it leaves at once. */
static void join(struct pm_task *task)
{
    struct msl_crew *crew = (struct msl_crew *)task;
    void *workspace = pm_workspace(crew->work->workspace);
    if (!workspace) {
        return;
    }
    const uint32_t index = 1 + __atomic_fetch_add(&crew->enlisted, 1, __ATOMIC_ACQ_REL);
    if (index > STARTED) {
        return;
    }
    wait_for_round(crew, 0);
    struct msl_crew_member member = {crew, index, crew->count, workspace, crew->shared};
    crew->work->run(crew->work->context, &member);
}

/* ---- When a crew is not worth it ---- */

/* Two threads that meet need two processors to themselves. Where something else wants one of them, crews lose more than
 * they gain: then dispatches run alone for a while, longer and longer if it does not get better. */
enum { PAUSE_NANOSECONDS = 1250000, LONGEST_PAUSE = 8, FORGETTING_NANOSECONDS = 50000000 };

static uint64_t pause_end;      /* atomic */
static unsigned pause_level;    /* atomic; the pause lasts PAUSE_NANOSECONDS << level */

static bool is_pausing(void)
{
    return pm_now() < __atomic_load_n(&pause_end, __ATOMIC_RELAXED);
}

static void pause_crews(uint64_t end)
{
    __atomic_store_n(&pause_end, end, __ATOMIC_RELAXED);
}

static void note_loss(uint64_t now)
{
    const unsigned level = __atomic_load_n(&pause_level, __ATOMIC_RELAXED) + 1;
    const unsigned longest = level < LONGEST_PAUSE ? level : LONGEST_PAUSE;
    __atomic_store_n(&pause_level, longest, __ATOMIC_RELAXED);
    pause_crews(now + ((uint64_t)PAUSE_NANOSECONDS << longest));
}

static void note_success(uint64_t now)
{
    const unsigned level = __atomic_load_n(&pause_level, __ATOMIC_RELAXED);
    if (level > 0 && now > __atomic_load_n(&pause_end, __ATOMIC_RELAXED) + FORGETTING_NANOSECONDS) {
        __atomic_store_n(&pause_level, level - 1, __ATOMIC_RELAXED);
    }
}

/* ---- Running ---- */

/* Waking up a thread takes some 50 microseconds, so that much more has to be gained, and no more than half of the gain
 * is spent on waiting for it. */
enum { WORTH_WAKING = 100000, LONGEST_PATIENCE = 1000000, DEFAULT_PATIENCE = 100000 };

/* Who did not come is not called again for so many times as long as it was waited for. */
enum { AFTER_ABSENCE = 32 };

static uint64_t patience(uint64_t cost)
{
    const uint64_t gained = cost / 4;
    return cost == 0 ? DEFAULT_PATIENCE : gained < LONGEST_PATIENCE ? gained : LONGEST_PATIENCE;
}

/* Starts the crew with those of `most` threads who come promptly. */
static void gather(struct pm_team *team, struct msl_crew *crew, size_t most)
{
    const uint64_t cost = crew->work->cost;
    const size_t called = pm_team_call(team, &crew->task, most, cost == 0 || cost >= WORTH_WAKING);
    crew->start = pm_now();
    const uint64_t end = crew->start + patience(cost);
    uint64_t now = crew->start;
    uint32_t seen = __atomic_load_n(&crew->enlisted, __ATOMIC_ACQUIRE);
    while (seen < called && now < end && pm_spin_while_equal(&crew->enlisted, seen, end - now)) {
        seen = __atomic_load_n(&crew->enlisted, __ATOMIC_ACQUIRE);
        now = pm_now();
    }
    const uint32_t members = __atomic_fetch_or(&crew->enlisted, STARTED, __ATOMIC_ACQ_REL);
    crew->count = members + 1;
    end_round(crew, 0);
    if (members < called) {
        now = pm_now();
        pause_crews(now + AFTER_ABSENCE * (now - crew->start));
    }
}

static void run_crew(struct pm_team *team, struct msl_crew *crew, struct msl_crew_member *first, size_t most)
{
    gather(team, crew, most - 1);
    const unsigned count = crew->count;
    first->count = count;
    crew->work->run(crew->work->context, first);
    const uint64_t done = pm_now();
    pm_team_dismiss(team, &crew->task);
    const uint64_t now = pm_now();
    const uint64_t lost = crew->lost + (now - done > MEETING_NANOSECONDS ? now - done : 0);
    if (first->count < count || lost > (now - crew->start) / TOLERATED_LOSS) {
        note_loss(now);
    } else if (count > 1) {
        note_success(now);
    }
}

int pm_crew_run(struct pm_team *team, const struct pm_crew_work *work, const char **problem)
{
    enum { CACHE_LINE = 64 };
    const size_t threads = pm_team_thread_count(team);
    const size_t most = work->most < threads ? work->most : threads;
    const size_t own = (work->workspace + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    char *memory = pm_workspace(own + work->shared + CACHE_LINE);
    if (!memory) {
        *problem = "no memory to work in";
        return 0;
    }
    struct msl_crew_member first = {NULL, 0, 1, memory, memory + own};
    if (most <= 1 || is_pausing()) {
        work->run(work->context, &first);
        return 0;
    }
    const int error = pm_team_hire(team, most - 1);
    if (error) {
        return error;
    }
    struct msl_crew crew = {.task.enter = join, .work = work, .shared = first.shared};
    first.crew = &crew;
    run_crew(team, &crew, &first, most);
    return 0;
}
