#include "crew.h"
#include "waiting.h"
#include "workspace.h"

/* What the caller writes at the start, then what all members write to when they meet, on lines of their own. */
struct msl_crew {
    struct pm_task task;
    const struct pm_crew_work *work;
    void *shared;
    unsigned count;                     /* of members */
    uint64_t start;
    uint64_t lost;                      /* nanoseconds that members have slept in meetings; changed, as the next, only by
                                         * the last to arrive, before the round */
    bool gives_up;                      /* the next meeting is the last */

    _Alignas(128) uint32_t enlisted;    /* atomic; members besides the caller, and whether the crew has started */
    _Alignas(128) uint32_t arrived;     /* atomic; ARRIVAL for each at any meeting, and whether somebody is ASLEEP */
    _Alignas(128) uint32_t round;       /* atomic; meetings that have ended, the first being the start */
    _Alignas(128) uint64_t asleep_since;        /* atomic; when the last went to sleep until the round changes */
};

/* In a meeting it pays to look longer than elsewhere: the others are sure to come, and who sleeps there is a sign of
 * trouble. */
enum { MEETING_NANOSECONDS = 2 * PM_SPIN_NANOSECONDS };

static const uint32_t STARTED = UINT32_C(1) << 31;

/* A quarter of its time may a crew lose before it is better to be alone, whatever it did until then: 2 threads that
 * have worked for three quarters of the time are still ahead of one. */
enum { TOLERATED_LOSS = 4 };

enum { ASLEEP = 1, ARRIVAL = 2 };

/* Have so many come? Arrivals are counted from the start of the crew, modulo 2^31. */
static bool have_come(uint32_t arrived, uint32_t wanted)
{
    return (int32_t)(arrived - wanted) >= 0;
}

/* Waits for the end of a round, which takes `wanted` arrivals. */
static void wait_for_round(struct msl_crew *crew, uint32_t round, uint32_t wanted)
{
    if (pm_spin_while_equal(&crew->round, round, MEETING_NANOSECONDS)) {
        return;
    }
    __atomic_store_n(&crew->asleep_since, pm_now(), __ATOMIC_RELAXED);
    while (__atomic_load_n(&crew->round, __ATOMIC_ACQUIRE) == round) {
        if (have_come(__atomic_fetch_or(&crew->arrived, ASLEEP, __ATOMIC_ACQ_REL), wanted)) {
            /* Whoever came last is about to end the round, and has not seen that we sleep. */
            pm_spin_while_equal(&crew->round, round, MEETING_NANOSECONDS);
        } else {
            pm_sleep_while_equal(&crew->round, round, 0);
        }
    }
}

/* Lets the members go on that wait for the round; `arrived` is what the last to arrive has found. */
static void end_round(struct msl_crew *crew, uint32_t round, uint32_t arrived)
{
    if (arrived & ASLEEP) {
        __atomic_fetch_and(&crew->arrived, ~(uint32_t)ASLEEP, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&crew->round, round + 1, __ATOMIC_RELEASE);
    if (arrived & ASLEEP) {
        pm_wake_all(&crew->round);
    }
}

/* Is it better to go on alone? Asked by the last to arrive, for whom others have slept. */
static bool has_lost_too_much(struct msl_crew *crew)
{
    const uint64_t now = pm_now();
    const uint64_t since = __atomic_load_n(&crew->asleep_since, __ATOMIC_RELAXED);
    crew->lost += MEETING_NANOSECONDS + (now > since ? now - since : 0);
    return crew->lost > (now - crew->start) / TOLERATED_LOSS;
}

bool msl_arrive(struct msl_crew_member *member)
{
    if (member->count == 1) {
        return false;
    }
    struct msl_crew *crew = member->crew;
    member->wanted += member->count * ARRIVAL;
    const uint32_t arrived = __atomic_add_fetch(&crew->arrived, ARRIVAL, __ATOMIC_ACQ_REL);
    if (have_come(arrived, member->wanted)) {
        if ((arrived & ASLEEP) && has_lost_too_much(crew)) {
            crew->gives_up = true;
        }
        end_round(crew, member->round, arrived);
    }
    return !member->parts;
}

/* A crew that gives up parts only at the next meeting, of which all know by then: whoever leaves does nothing after it has
 * arrived there, and the first member, alone, may change what others have read. */
bool msl_leave(struct msl_crew_member *member)
{
    if (member->count == 1) {
        return true;
    }
    if (member->parts && member->index > 0) {
        return false;
    }
    struct msl_crew *crew = member->crew;
    wait_for_round(crew, member->round++, member->wanted);
    if (member->parts) {
        member->count = 1;
    }
    member->parts = crew->gives_up;
    return true;
}

bool msl_meet(struct msl_crew_member *member)
{
    (void)msl_arrive(member);
    return msl_leave(member);
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
    wait_for_round(crew, 0, ARRIVAL);
    struct msl_crew_member member = {crew, index, crew->count, workspace, crew->shared, 1, ARRIVAL, false};
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
    end_round(crew, 0, __atomic_add_fetch(&crew->arrived, ARRIVAL, __ATOMIC_ACQ_REL));
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
    if (crew->gives_up || lost > (now - crew->start) / TOLERATED_LOSS) {
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
    struct msl_crew_member first = {.count = 1, .workspace = memory, .shared = memory + own, .round = 1, .wanted = ARRIVAL};
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
