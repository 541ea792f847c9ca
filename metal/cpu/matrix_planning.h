// From a dispatch of a matrix cell to a plan.
#ifndef TWIN_MATRIX_PLANNING_H
#define TWIN_MATRIX_PLANNING_H
#include "matrix_gru.h"
#include "matrix_lstm.h"
#include "matrix_strassen.h"

namespace {
namespace twin {

// Rows that are in hand at once: what belongs to them stays in the caches. A chunk has room for a step of a block. The
// slices of its input are as far apart as it has rows, and would all meet in few sets of the first-level cache if these
// were a multiple of a larger power of two than 32.
enum { CHUNK_ROWS = 352, BLOCK_ROWS = CHUNK_ROWS };
// Rows of a batch's input that stay in the second-level cache, and weights, all of the input's, that may be read anew for
// so few.
enum { CACHED_ROWS = 160, CACHED_WEIGHTS = 2 << 20 };
// Values of the input that it takes less time to pack than to share: lines would go to and fro between the caches.
enum { PACKED_ALONE = 32768 };
// Multiplications of a step that make another thread worth meeting for, and about what a thread does of them.
enum { STEP_SHARE = 16384, MULTIPLICATIONS_PER_NANOSECOND = 40 };

// False: groups that a panel would straddle, which are left to the kernel.
inline bool add_matrix_term(matrix_term &to, matrix_stage &stage, const mpsrnn_cell_params &p, uint32_t index,
                            uint32_t inputs, matrix_operand operand, bool is_bfloat, size_t *total)
{
    const mpsrnn_term &term = p.terms[index];
    const bool is_grouped = term.group_source_slices != term.source_slices;
    to.first = *total;
    to.block = DEPTH_BLOCK;
    to.index = index;
    to.operand = operand;
    // Weights and values are zero for inputs that there are not.
    to.depth = is_grouped ? term.group_source_slices * 4 : is_bfloat ? (inputs + 3) / 4 * 4 : inputs;
    to.group_outputs = is_grouped ? term.group_output_slices * 4 : UINT32_MAX;
    *total += size_t(to.depth) * stage.panels * PANEL;
    return !is_grouped || to.group_outputs % stage.panel_channels == 0;
}

template <class Cell>
bool plan_matrix_stage(matrix_stage &stage, int index, bool is_bfloat, const msl_twin_call *call)
{
    const mpsrnn_cell_params &p = matrix_params_of(call, index);
    stage.gates = Cell::gates(index);
    stage.panel_channels = VECTORS / stage.gates * LANES;
    stage.panels = (p.channels + stage.panel_channels - 1) / stage.panel_channels;
    stage.last_channels = (p.channels + 3) / 4 * 4 - (stage.panels - 1) * stage.panel_channels;
    size_t total = 0;
    const bool has_input = Cell::has_input(index) && !call->constants[MPSRNN_CONSTANT_UNIT_TRANSFORM];
    if (has_input && p.terms[0].taps != 0
        && !add_matrix_term(stage.input, stage, p, 0, p.input_channels, OPERANDS, is_bfloat, &total))
        return false;
    matrix_source sources[2];
    const uint32_t count = Cell::sources(index, sources);
    for (uint32_t i = 0; i < count; ++i) {
        if (p.terms[sources[i].index].taps == 0)
            continue;
        matrix_term &term = stage.terms[stage.term_count++];
        const matrix_operand operand = sources[i].operand;
        if (!add_matrix_term(term, stage, p, sources[i].index, p.channels, operand, is_bfloat, &total))
            return false;
    }
    return true;
}

// Products of a sum that are worth adding up by themselves, and weights that stay in the caches though half of them are
// read at a time.
enum { LEAST_BLOCK = 64, BLOCKED_WEIGHTS = 3 << 16 };
static_assert(4 * DEPTH_BLOCK * DEPTH_BLOCK > BLOCKED_WEIGHTS, "half of what is blocked must be less than DEPTH_BLOCK");

// Of a small cell's recurrent products those with half of the previous output, or of what else the step has made, are
// added up by themselves: one of two threads can begin with what it has made itself, and meet the other later. Of a
// larger cell a meeting weighs little.
inline void block_matrix_terms(matrix_plan &plan)
{
    for (uint32_t s = 0; s < plan.stage_count; ++s)
        for (uint32_t i = 0; i < plan.stages[s].term_count; ++i) {
            matrix_term &term = plan.stages[s].terms[i];
            const matrix_stage &maker = maker_of(plan, term.operand);
            const uint32_t half = maker.panels / 2 * maker.panel_channels;
            const size_t weights = size_t(term.depth) * plan.stages[s].panels * PANEL;
            if (half >= LEAST_BLOCK && term.group_outputs == UINT32_MAX && weights <= BLOCKED_WEIGHTS)
                term.block = half;
        }
}

// Rows and products of a sum that make the sums of halves worth their while.
enum { STRASSEN_ROWS = 32, STRASSEN_DEPTH = 256 };

inline bool can_halve(const matrix_term &term)
{
    return term.depth >= STRASSEN_DEPTH && term.depth % 8 == 0 && term.group_outputs == UINT32_MAX;
}

// Whether all steps and stages are large and even enough for Strassen's algorithm. If so, places the terms' weights.
inline bool pair_matrix_rows(matrix_plan &plan, const msl_twin_call *call)
{
    const mpsrnn_matrix_run &run = matrix_run_of(call);
    const mpsrnn_matrix_step *steps = matrix_steps_of(call);
    if (plan.packs_weights || plan.is_bfloat || plan.blocks != 1 || plan.rows < STRASSEN_ROWS || plan.rows % 4 != 0)
        return false;
    for (uint32_t t = run.first_step; t < run.last_step; ++t)
        if (steps[t].rows != plan.rows || (steps[t].state_rows != 0 && steps[t].state_rows != plan.rows))
            return false;
    for (uint32_t s = 0; s < plan.stage_count; ++s) {
        matrix_stage &stage = plan.stages[s];
        if (stage.panels % 2 != 0 || stage.term_count != 1 || !can_halve(stage.input) || !can_halve(stage.terms[0]))
            return false;
    }
    for (uint32_t s = 0; s < plan.stage_count; ++s) {
        matrix_stage &stage = plan.stages[s];
        stage.terms[0].first = size_t(stage.input.depth) / 2 * STRASSEN_BLOCKS * PANEL * (stage.panels / 2);
    }
    return true;
}

// Bytes of weights that each thread may as well read for itself, and rows that make up for that.
enum { SMALL_WEIGHTS = 512 << 10, ROWS_APART = 4 };

// How the rows of a batch come in blocks. Of a small cell each thread takes some of the rows, and needs no meetings; but
// never are rows kept apart that would be paired, so that results do not depend on the threads.
inline void plan_matrix_blocks(matrix_plan &plan, uint32_t rows, const msl_twin_call *call)
{
    size_t weights = 0;
    for (uint32_t s = 0; s < plan.stage_count; ++s)
        weights += matrix_weight_count(plan.stages[s]) * sizeof(float);
    plan.blocks = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    plan.rows = (rows + plan.blocks - 1) / plan.blocks;
    plan.pairs_rows = pair_matrix_rows(plan, call);
    plan.walks_apart = call->threads > 1 && rows / call->threads >= ROWS_APART && weights <= SMALL_WEIGHTS
                       && !plan.packs_weights && !plan.pairs_rows;
    plan.blocks *= plan.walks_apart ? call->threads : 1;
    plan.rows = (rows + plan.blocks - 1) / plan.blocks;
    plan.blocks = (rows + plan.rows - 1) / plan.rows;
}

// How many rows there are; 0 if the steps do not follow one another as those of one sequence do.
inline uint32_t count_matrix_rows(const msl_twin_call *call, uint32_t slices)
{
    const mpsrnn_matrix_run &run = matrix_run_of(call);
    const mpsrnn_matrix_step *steps = matrix_steps_of(call);
    uint32_t most = 0;
    for (uint32_t t = run.first_step; t < run.last_step; ++t) {
        const mpsrnn_matrix_step &step = steps[t];
        most = step.rows > most ? step.rows : most;
        most = step.state_rows > most ? step.state_rows : most;
        if (t > run.first_step
            && (step.output_in != steps[t - 1].output || step.output_in_stride != slices * 4
                || step.memory_in != steps[t - 1].memory))
            return 0;
    }
    return most;
}

// How many rows a chunk has of `all`: room for a step.
inline uint32_t plan_chunk_rows(const matrix_plan &plan, size_t all)
{
    size_t weights = 0;
    for (uint32_t s = 0; s < plan.stage_count; ++s)
        weights += size_t(plan.stages[s].input.depth) * plan.stages[s].panels * PANEL;
    const bool is_small = plan.rows > 1 && plan.rows <= CACHED_ROWS && weights <= CACHED_WEIGHTS;
    const uint32_t most = is_small ? uint32_t(CACHED_ROWS) : uint32_t(CHUNK_ROWS);
    return all < most ? uint32_t(all) : most;
}

inline uint32_t most_panels(const matrix_plan &plan)
{
    const uint32_t first = plan.stages[0].panels, second = plan.stages[1].panels;
    return first > second ? first : second;
}

// Lays out the shared memory.
inline void place_matrix_plan(matrix_plan &plan, msl_plan *out, const msl_twin_call *call)
{
    const mpsrnn_cell_params &p = matrix_params_of(call, 0);
    size_t total = 0;
    const auto reserve = [&total](size_t floats) {
        const size_t start = total;
        total += (floats + 15) / 16 * 16;
        return start;
    };
    const size_t operand = size_t(p.slices) * plan.rows * 4 + LANES;
    bool is_needed[OPERANDS] = {};
    for (uint32_t s = 0; s < plan.stage_count; ++s) {
        matrix_stage &stage = plan.stages[s];
        stage.sums = reserve(size_t(stage.panels) * plan.chunk_rows * PANEL);
        for (uint32_t i = 0; i < stage.term_count; ++i)
            is_needed[stage.terms[i].operand] = true;
        if (plan.packs_weights) {
            plan.packed_weights[s] = reserve(matrix_weight_count(stage));
            plan.packed_rows[s] = reserve(matrix_row_count(stage));
        }
    }
    if (plan.pairs_rows) {
        plan.input_sides = reserve(strassen_side_count(p.input_channels, plan.chunk_rows));
        plan.input_sizes = reserve(row_size_count(plan.chunk_rows) * call->threads);
    }
    const size_t input = (size_t(p.input_channels) + 3) / 4 * plan.chunk_rows * 4;
    plan.packs_alone = plan.rows == 1 && !plan.packs_weights && input <= PACKED_ALONE;
    plan.input = plan.packs_alone ? size_t(DEPTH_BLOCK) * PANEL : reserve(input);
    for (int i = 0; i < OPERANDS; ++i)
        for (int turn = 0; turn < 2; ++turn) {
            // What the stages of a step hand on to each other is needed only once.
            const bool is_own = turn == 0 || i == OPERAND_OUTPUT || i == OPERAND_MEMORY;
            plan.operands[i][turn] = !is_needed[i] ? SIZE_MAX : is_own ? reserve(operand) : plan.operands[i][0];
        }
    out->shared = plan.walks_apart ? 0 : total * sizeof(float);
    const size_t halves = plan.pairs_rows ? size_t(plan.chunk_rows + 1) / 2 * PANEL : 0;
    out->workspace = (halves > DEPTH_BLOCK * PANEL ? halves : size_t(DEPTH_BLOCK) * PANEL) * sizeof(float);
    out->workspace += plan.packs_alone ? input * sizeof(float) : 0;
    plan.begun = out->workspace / sizeof(float);
    out->workspace += plan.rows == 1 ? size_t(most_panels(plan)) * PANEL * sizeof(float) : 0;
    plan.sides = out->workspace / sizeof(float);
    out->workspace += plan.pairs_rows ? strassen_side_count(p.channels, plan.rows) * sizeof(float) : 0;
    plan.own_shared = out->workspace / sizeof(float);
    out->workspace += plan.walks_apart ? total * sizeof(float) : 0;
}

inline void estimate_matrix_work(const matrix_plan &plan, msl_plan *out, const msl_twin_call *call)
{
    const mpsrnn_matrix_run &run = matrix_run_of(call);
    uint64_t step = 0;
    const uint32_t panels = most_panels(plan);
    for (uint32_t s = 0; s < plan.stage_count; ++s)
        step += uint64_t(matrix_weight_count(plan.stages[s])) * plan.rows * plan.blocks;
    const uint64_t most = plan.walks_apart ? plan.blocks : step / STEP_SHARE < panels ? step / STEP_SHARE : panels;
    out->items = most > 1 ? size_t(most) : 1;
    out->meetings = plan.walks_apart ? 0 : size_t(run.last_step - run.first_step) * plan.stage_count;
    out->cost = step * (run.last_step - run.first_step) / MULTIPLICATIONS_PER_NANOSECOND + 1;
}

// Keys of what is derived from weights: panels of half values, of floats, of bfloat16, and for Strassen's algorithm.
enum { HALF_PANELS = 18, FLOAT_PANELS = 20, BFLOAT_PANELS = 24, STRASSEN_PANELS = 32 };

TWIN_INLINE uint64_t matrix_key_of(half_bits) { return HALF_PANELS; }
TWIN_INLINE uint64_t matrix_key_of(float) { return FLOAT_PANELS; }
TWIN_INLINE uint64_t matrix_key_of(bfloat) { return BFLOAT_PANELS; }

// T: the kernel's weights; W: the panels'.
template <class T, class W> bool derive_matrix(matrix_plan &plan, const msl_twin_call *call)
{
    for (uint32_t s = 0; s < plan.stage_count; ++s) {
        matrix_stage &stage = plan.stages[s];
        const matrix_packing packing = {call, &stage, int(s)};
        const matrix_bindings bindings = matrix_bindings_of(int(s));
        const msl_buffer *buffers = call->dispatch->buffers;
        const size_t count = matrix_weight_count(stage);
        stage.weights = plan.pairs_rows
                            ? msl_derived(&buffers[bindings.weights], STRASSEN_PANELS, strassen_size(stage),
                                          derive_strassen_panels<T>, &packing)
                            : msl_derived(&buffers[bindings.weights], matrix_key_of(W{}), (count + 1) * sizeof(W),
                                          derive_matrix_panels<T, W>, &packing);
        stage.rows = static_cast<const float *>(msl_derived(&buffers[bindings.channels], 16,
                                                            matrix_row_count(stage) * sizeof(float),
                                                            derive_matrix_rows, &packing));
        if (!stage.weights || !stage.rows)
            return false;
    }
    return true;
}

template <class Cell, class T> bool plan_matrix(msl_plan *out, const msl_twin_call *call)
{
    const mpsrnn_matrix_run &run = matrix_run_of(call);
    matrix_plan plan = {};
    plan.stage_count = Cell::stages(call);
    if (run.first_phase != 0 || run.last_phase != plan.stage_count || run.first_step >= run.last_step)
        return false;
    const uint32_t rows = count_matrix_rows(call, matrix_params_of(call, 0).slices);
    if (rows == 0)
        return false;
    plan.packs_weights = call->constants[MPSRNN_CONSTANT_KEEPS_SUMS];
    plan.is_bfloat = call->constants[MPSRNN_CONSTANT_REDUCED_PRECISION] && !plan.packs_weights && rows >= BFLOAT_ROWS
                     && multiplies_bfloat();
    plan.converts_narrow = converts_narrow();
    for (uint32_t s = 0; s < plan.stage_count; ++s)
        if (!plan_matrix_stage<Cell>(plan.stages[s], int(s), plan.is_bfloat, call))
            return false;
    block_matrix_terms(plan);
    plan_matrix_blocks(plan, rows, call);
    const size_t all = size_t(plan.rows) * (run.last_step - run.first_step);
    plan.chunk_rows = plan_chunk_rows(plan, all);
    plan.is_usual = Cell::has_usual_neurons(call);
    if (!plan.packs_weights
        && !(plan.is_bfloat   ? derive_matrix<T, bfloat>(plan, call)
             : plan.rows == 1 ? derive_matrix<T, T>(plan, call)
                              : derive_matrix<T, float>(plan, call)))
        return false;
    place_matrix_plan(plan, out, call);
    estimate_matrix_work(plan, out, call);
    memcpy(out->words, &plan, sizeof plan);
    return true;
}

} // namespace twin
} // namespace
#endif
