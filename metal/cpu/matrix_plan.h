// What a twin of a matrix cell works out once for a dispatch, and how it reads the table of steps.
//
// A cell runs in one or two stages, as its kernel's phases. The gates of a stage for a panel's channels lie side by
// side, see matrix_place_of; a sum starts at the bias and adds the input's products, then those of the recurrent terms,
// in the order of their channels, a block of them at a time (matrix_multiply.h). Nothing changes that order but
// Strassen's algorithm, which large batches go through: a row's results depend on neither the threads nor where a
// sequence is cut, and in other batches not on the batch.
#ifndef TWIN_MATRIX_PLAN_H
#define TWIN_MATRIX_PLAN_H
#include "params.h"
#include "twin.h"
#include "vector.h"

namespace {
namespace twin {

// What recurrent terms multiply: [channel / 4][row][4], kept by the twin while a sequence runs.
enum matrix_operand { OPERAND_OUTPUT, OPERAND_MEMORY, OPERAND_RESET, OPERAND_UPDATED, OPERANDS };

// A product of the sums: weights [panel][depth][PANEL] from `first` on.
struct matrix_term {
    size_t first;
    uint32_t depth;             // 0: absent
    uint32_t group_outputs;     // channels that read the same group of inputs
    uint32_t block;             // products of a sum that are added up by themselves
    uint32_t index;             // among the kernel's terms
    matrix_operand operand;
};

struct matrix_stage {
    const void *weights;
    const float *rows;          // [panel][MPSRNN_CHANNEL_ROWS][PANEL]
    size_t sums;                // where they begin in the shared memory
    uint32_t gates, panels, panel_channels;
    uint32_t last_channels;     // for which the last panel has room; all of a gate's lie side by side
    uint32_t term_count;
    matrix_term input, terms[2];
};

// Places in the shared memory, or in the workspace behind the rest of it if members walk apart, are counted in floats.
struct matrix_plan {
    matrix_stage stages[2];
    uint32_t stage_count;
    uint32_t rows, blocks;      // of a block of rows that walk the sequence together, and how many blocks there are
    bool walks_apart;           // each member walks with blocks of its own
    uint32_t chunk_rows;        // rows of as many steps as have their input projected at once
    bool is_usual;              // whether the cell's neurons are those that it knows a shorter way for
    bool packs_weights;         // for this dispatch alone, because the weights are another's results
    size_t packed_weights[2], packed_rows[2];
    bool is_bfloat;             // multiplies bfloat16
    bool converts_narrow;       // half weights, less than a vector at a time
    bool packs_alone;           // each member packs the whole input for itself, and has it in its own workspace
    bool pairs_rows;            // multiplies by Strassen's algorithm where the values allow it
    size_t input, input_sides;
    size_t input_sizes;         // those of every member's share
    size_t sides;               // where in the workspace are those of what a stage multiplies
    size_t begun;               // where in the workspace are the sums of what a row begins with before a meeting
    size_t own_shared;          // where in the workspace of a member that walks apart is what others share
    size_t operands[OPERANDS][2];
};
static_assert(sizeof(matrix_plan) <= sizeof(msl_plan::words), "a plan must fit");

TWIN_INLINE const matrix_plan &matrix_plan_of(const msl_plan *plan)
{
    return *reinterpret_cast<const matrix_plan *>(plan->words);
}

// The stage that makes what a term multiplies.
TWIN_INLINE const matrix_stage &maker_of(const matrix_plan &plan, matrix_operand operand)
{
    return plan.stages[operand == OPERAND_OUTPUT ? plan.stage_count - 1 : 0];
}

TWIN_INLINE const mpsrnn_matrix_run &matrix_run_of(const msl_twin_call *call)
{
    return *static_cast<const mpsrnn_matrix_run *>(call->dispatch->buffers[MPSRNN_BUFFER_RUN].contents);
}

TWIN_INLINE const mpsrnn_matrix_step *matrix_steps_of(const msl_twin_call *call)
{
    return static_cast<const mpsrnn_matrix_step *>(call->dispatch->buffers[MPSRNN_BUFFER_STEPS].contents);
}

struct matrix_bindings {
    int params, weights, channels;
};

TWIN_INLINE matrix_bindings matrix_bindings_of(int stage)
{
    return stage == 0 ? matrix_bindings{MPSRNN_BUFFER_PARAMS, MPSRNN_BUFFER_WEIGHTS, MPSRNN_BUFFER_CHANNELS}
                      : matrix_bindings{MPSRNN_BUFFER_OUTPUT_PARAMS, MPSRNN_BUFFER_OUTPUT_WEIGHTS,
                                        MPSRNN_BUFFER_OUTPUT_CHANNELS};
}

TWIN_INLINE const mpsrnn_cell_params &matrix_params_of(const msl_twin_call *call, int stage)
{
    const int index = matrix_bindings_of(stage).params;
    return *static_cast<const mpsrnn_cell_params *>(call->dispatch->buffers[index].contents);
}

// Row `row` of a matrix that the table names by address.
template <class E> TWIN_INLINE E *row_at(uint64_t address, size_t row, size_t stride)
{
    return reinterpret_cast<E *>(uintptr_t(address)) + row * stride;
}

// Channels that a panel has room for, which is how far the gates are apart.
TWIN_INLINE uint32_t channels_of(const matrix_stage &stage, uint32_t panel)
{
    return panel + 1 == stage.panels ? stage.last_channels : stage.panel_channels;
}

// Vectors of a panel; what is behind them is nothing.
TWIN_INLINE uint32_t vectors_of(const matrix_stage &stage, uint32_t panel)
{
    return (channels_of(stage, panel) * stage.gates + LANES - 1) / LANES;
}

struct share {
    uint32_t begin, end;
};

// A member's part of `count`.
TWIN_INLINE share share_of(const msl_crew_member *member, uint32_t count)
{
    return {uint32_t(size_t(count) * member->index / member->count),
            uint32_t(size_t(count) * (member->index + 1) / member->count)};
}

// Steps whose input is projected at once, and their rows.
struct chunk {
    uint32_t begin, end, rows;
};

} // namespace twin
} // namespace
#endif
