#define _GNU_SOURCE
#include "thread.h"
#include <errno.h>
#include <fenv.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include "waiting.h"
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* What a threadgroup may keep on the stack; address space only, until it is touched. */
enum { STACK_SIZE = 8 << 20 };

/* What a kernel that runs on somebody else's thread may need of it. */
enum { BORROWED_STACK_SIZE = 512 << 10 };

struct start {
    void (*function)(void *);
    void *argument;
};

static __thread void (*release_kept)(void);

#if defined(__x86_64__)
typedef unsigned int float_mode;

static float_mode use_default_float_mode(void)
{
    /* Older C libraries leave flush-to-zero as it is. */
    enum { MXCSR_DEFAULT = 0x1F80 };
    const float_mode previous = _mm_getcsr();
    _mm_setcsr(MXCSR_DEFAULT);
    return previous;
}

static void set_float_mode(float_mode mode)
{
    _mm_setcsr(mode);
}
#else
typedef fenv_t float_mode;

static float_mode use_default_float_mode(void)
{
    float_mode previous;
    fegetenv(&previous);
    fesetenv(FE_DFL_ENV);
    return previous;
}

static void set_float_mode(float_mode mode)
{
    fesetenv(&mode);
}
#endif

static void *begin(void *argument)
{
    const struct start start = *(struct start *)argument;
    free(argument);
    use_default_float_mode();
    start.function(start.argument);
    pm_thread_rest();
    return NULL;
}

void pm_thread_borrow(void (*function)(void *), void *argument)
{
    const float_mode mode = use_default_float_mode();
    function(argument);
    set_float_mode(mode);
    pm_thread_rest();
}

/* Asked once for each thread: for a process' first one the C library reads a file to answer. */
bool pm_thread_can_be_borrowed(void)
{
    enum { UNKNOWN, YES_IT_CAN, NO_IT_CANNOT };
    static __thread int answer;
    pthread_attr_t attributes;
    if (answer == UNKNOWN && pthread_getattr_np(pthread_self(), &attributes) == 0) {
        size_t size = 0;
        pthread_attr_getstacksize(&attributes, &size);
        pthread_attr_destroy(&attributes);
        answer = size >= BORROWED_STACK_SIZE ? YES_IT_CAN : NO_IT_CANNOT;
    }
    return answer == YES_IT_CAN;
}

void pm_thread_when_resting(void (*release)(void))
{
    release_kept = release;
}

void pm_thread_rest(void)
{
    void (*release)(void) = release_kept;
    release_kept = NULL;
    if (release) {
        release();
    }
}

void pm_thread_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    if (!release_kept) {
        pthread_cond_wait(condition, mutex);
        return;
    }
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    ++time.tv_sec;
    if (pthread_cond_timedwait(condition, mutex, &time) == ETIMEDOUT) {
        pthread_mutex_unlock(mutex);
        pm_thread_rest();
        pthread_mutex_lock(mutex);
    }
}

void pm_thread_sleep(const uint32_t *word, uint32_t value)
{
    if (!pm_sleep_while_equal(word, value, release_kept ? 1 : 0)) {
        pm_thread_rest();
    }
}

int pm_thread_start(pthread_t *thread, void (*function)(void *), void *argument)
{
    struct start *start = malloc(sizeof *start);
    if (!start) {
        return ENOMEM;
    }
    start->function = function;
    start->argument = argument;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error) {
        free(start);
        return error;
    }
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    error = pthread_create(thread, &attributes, begin, start);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    pthread_attr_destroy(&attributes);
    if (error) {
        free(start);
    }
    return error;
}
