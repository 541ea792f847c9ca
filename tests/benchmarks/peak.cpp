// The rate of fused multiply-adds that the processor reaches on a number of threads: what figures are a share of, and
// what shows whether the cores were all there when something was timed.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <sched.h>

#if defined(__x86_64__)
#define FOR_ISA(name) __attribute__((target(name)))
#else
#define FOR_ISA(name)
#endif

namespace {

using Clock = std::chrono::steady_clock;

// Every sum depends on itself alone: twelve of them keep two units of a latency of four or five busy, and AVX2 has
// registers for no more; sixteen are for four units. Their values come near one. None begins there: it would stay what it
// is, and compilers know that and leave its sum out.
#define ROUND12(S) S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7) S(8) S(9) S(10) S(11)
#define ROUND16(S) ROUND12(S) S(12) S(13) S(14) S(15)
#define DECLARE(i) Vector sum##i = one + float(i + 1);
#define MULTIPLY_ADD(i) sum##i = sum##i * factor + term;
#define COLLECT(i) total += sum##i;

// Vectors of `BYTES`; returns the operations of one thread. What `kept` receives keeps the loop from being left out.
#define DEFINE_LOOP(name, ISA, BYTES, ROUND, COUNT)                                                                    \
    FOR_ISA(ISA) double name(long rounds, volatile float *kept)                                                        \
    {                                                                                                                  \
        typedef float Vector __attribute__((vector_size(BYTES)));                                                      \
        const Vector one = Vector{} + 1.0F;                                                                            \
        const Vector factor = one * 0.999F;                                                                            \
        const Vector term = one * 0.001F;                                                                              \
        ROUND(DECLARE)                                                                                                 \
        for (long round = 0; round < rounds; ++round) {                                                                \
            ROUND(MULTIPLY_ADD)                                                                                        \
            ROUND(MULTIPLY_ADD)                                                                                        \
        }                                                                                                              \
        Vector total = {};                                                                                             \
        ROUND(COLLECT)                                                                                                 \
        *kept = total[0];                                                                                              \
        return double(rounds) * 2 * COUNT * 2 * (BYTES / sizeof(float));                                               \
    }

typedef double Loop(long rounds, volatile float *kept);

#if defined(__x86_64__)
DEFINE_LOOP(loop_avx512, "avx512f", 64, ROUND16, 16)
DEFINE_LOOP(loop_avx2, "avx2,fma", 32, ROUND12, 12)
#endif
DEFINE_LOOP(loop_baseline, "sse2", 16, ROUND16, 16)

Loop *best_loop()
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) {
        return loop_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return loop_avx2;
    }
#endif
    return loop_baseline;
}

// One thread to a processor: left to the scheduler, two may share one for a while that is longer than the loop.
void stay_on(const cpu_set_t &allowed, int nth)
{
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed) && nth-- == 0) {
            cpu_set_t only;
            CPU_ZERO(&only);
            CPU_SET(cpu, &only);
            sched_setaffinity(0, sizeof only, &only);
            return;
        }
    }
}

double rate(Loop *loop, long rounds)
{
    volatile float kept;
    const Clock::time_point start = Clock::now();
    const double operations = loop(rounds, &kept);
    return operations / std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

// Floating-point operations a second of `threads` threads, each in the middle of a run of `rounds` rounds.
extern "C" double fma_rate(int threads, long rounds)
{
    Loop *const loop = best_loop();
    cpu_set_t allowed;
    sched_getaffinity(0, sizeof allowed, &allowed);
    std::atomic<int> waiting{threads};
    std::vector<double> rates(static_cast<size_t>(threads));
    std::vector<std::thread> team;
    for (int index = 0; index < threads; ++index) {
        team.emplace_back([&, index] {
            stay_on(allowed, index);
            waiting.fetch_sub(1);
            while (waiting.load() > 0) {
            }
            rate(loop, rounds / 8);
            rates[static_cast<size_t>(index)] = rate(loop, rounds);
            rate(loop, rounds / 8);
        });
    }
    double total = 0;
    for (int index = 0; index < threads; ++index) {
        team[static_cast<size_t>(index)].join();
        total += rates[static_cast<size_t>(index)];
    }
    return total;
}
