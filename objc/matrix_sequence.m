/* A stack of cells over a sequence of matrices: layer by layer, each over all time steps.
 *
 * The kernels find the matrices of a time step through a table of pointers, so their number does not matter. A layer of
 * at most MPSRNN_SEQUENCE_CHANNELS output channels is one dispatch for the whole sequence, a larger one a dispatch for
 * every step and phase, unless few threadgroups are as good as many; the table and the kernel are the same.
 *
 * A sequence is prepared before anything is encoded: all memory is made and all pipelines compiled, so that a failure
 * leaves the command buffer as it was. */
#import "matrix_sequence.h"
#import "platform.h"
#include <stdlib.h>

/* ---- Steps and what they use ---- */

/* Where the matrices of step `step` of the run lie in the caller's arrays, and the other way round. */
static size_t place_of(const mcy_matrix_sequence *q, size_t step)
{
    return q->is_backward ? q->count - 1 - step : step;
}

static BOOL is_last(const mcy_matrix_sequence *q, size_t layer)
{
    return layer + 1 == q->cell_count;
}

static uint32_t slices_of(const mcy_matrix_sequence *q, size_t layer)
{
    return mcy_slices(q->cells[layer]->output_channels);
}

/* Bytes of one value per row and channel in memory of our own. */
static size_t slot_size(const mcy_matrix_sequence *q, size_t layer)
{
    return (size_t)q->rows * slices_of(q, layer) * 4 * sizeof(float);
}

static mcy_memory own_memory(const mcy_matrix_sequence *q, size_t offset)
{
    const mcy_memory memory = { q->memory->metal, offset };
    return memory;
}

static mcy_memory output_of(const mcy_matrix_sequence *q, size_t step, size_t layer)
{
    const mcy_matrix_scratch *scratch = &q->scratch[layer];
    return q->records ? q->records[step].output
                      : own_memory(q, scratch->output + step % scratch->output_count * slot_size(q, layer));
}

static mcy_memory memory_of(const mcy_matrix_sequence *q, size_t step, size_t layer)
{
    const mcy_memory none = { nil, 0 };
    if (q->cells[layer]->kind != MPSRNN_CELL_LSTM) {
        return none;
    }
    return q->records ? q->records[step].memory
                      : own_memory(q, q->scratch[layer].memory + step % 2 * slot_size(q, layer));
}

/* Rows that have a state before a step: of a run from the last matrix to the first, only those that ran already. */
static uint32_t state_rows(const mcy_matrix_sequence *q, size_t step)
{
    if (q->state_in) {
        return q->rows;
    }
    return step == 0 ? 0 : q->is_backward ? q->sources[place_of(q, step - 1)].rows : q->rows;
}

/* The caller's matrices for the state after a step; NULL if he does not want it. */
static const mpsrnn_matrix_state *kept_state(const mcy_matrix_sequence *q, size_t step, size_t layer)
{
    const size_t first = q->count - q->state_count;
    return step < first ? NULL : &q->states_out[(step - first) * q->layer_count + q->cells[layer]->index];
}

/* ---- Preparation ---- */

/* Adds `count` slots to a size that stays at SIZE_MAX once it would exceed it; returns where they begin. */
static size_t reserve(const mcy_matrix_sequence *q, size_t layer, size_t count, size_t *total)
{
    const size_t start = *total;
    size_t slot, size;
    if (__builtin_mul_overflow((size_t)q->rows, slices_of(q, layer) * 4 * sizeof(float), &slot)
        || __builtin_mul_overflow(slot, count, &size) || __builtin_add_overflow(start, size, total)) {
        *total = SIZE_MAX;
    }
    return start;
}

static size_t plan_memory(mcy_matrix_sequence *q)
{
    size_t total = 0;
    const size_t in_turn = q->count < 2 ? q->count : 2;
    for (size_t l = 0; l < q->cell_count; ++l) {
        const mcy_cell *cell = q->cells[l];
        mcy_matrix_scratch *scratch = &q->scratch[l];
        if (cell->stage_count == 2) {
            scratch->gate = reserve(q, l, 1, &total);
        }
        if (q->records) {
            continue;
        }
        scratch->output_count = is_last(q, l) && q->destinations ? in_turn : q->count;
        scratch->output = reserve(q, l, scratch->output_count, &total);
        if (cell->kind == MPSRNN_CELL_LSTM) {
            scratch->memory = reserve(q, l, in_turn, &total);
        }
        if (cell->kind == MPSRNN_CELL_GRU) {
            scratch->reset = reserve(q, l, cell->has_recurrent, &total);
            scratch->updated = reserve(q, l, cell->has_memory, &total);
        }
    }
    return total;
}

static mpsrnn_status make_memory(mcy_matrix_sequence *q, mpsrnn_error *error)
{
    q->scratch = calloc(q->cell_count, sizeof *q->scratch);
    q->pipelines = calloc(q->cell_count, sizeof *q->pipelines);
    size_t steps, length;
    if (!q->scratch || !q->pipelines || __builtin_mul_overflow(q->count, q->cell_count, &steps)
        || __builtin_mul_overflow(steps, sizeof(mpsrnn_matrix_step), &length)) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for %zu time steps", q->count);
    }
    mpsrnn_status status = mcy_buffer_create(q->device, length, MTLResourceStorageModeShared, &q->table, error);
    const size_t total = plan_memory(q);
    if (status == MPSRNN_STATUS_OK && total > 0) {
        status = mcy_buffer_create(q->device, total, MTLResourceStorageModePrivate, &q->memory, error);
    }
    if (q->memory) {
        q->memory_address = [q->memory->metal gpuAddress];
    }
    return status;
}

/* That of our own memory is known: there are several such for every step. */
static uint64_t address_of(const mcy_matrix_sequence *q, mcy_memory memory)
{
    const BOOL is_own = q->memory && memory.buffer == q->memory->metal;
    return is_own ? q->memory_address + memory.offset : mcy_memory_address(memory);
}

static void fill_source(const mcy_matrix_sequence *q, size_t step, size_t layer, mpsrnn_matrix_step *out)
{
    if (layer == 0) {
        const mpsrnn_matrix *source = &q->sources[place_of(q, step)];
        out->source = mcy_memory_address(mcy_matrix_memory(source));
        out->source_stride = mcy_matrix_stride(source);
    } else {
        out->source = address_of(q, output_of(q, step, layer - 1));
        out->source_stride = slices_of(q, layer - 1) * 4;
    }
}

static void fill_destination(const mcy_matrix_sequence *q, size_t step, size_t layer, mpsrnn_matrix_step *out)
{
    if (!is_last(q, layer) || !q->destinations) {
        return;
    }
    const mpsrnn_matrix *destination = &q->destinations[place_of(q, step)];
    out->destination = mcy_memory_address(mcy_matrix_memory(destination));
    out->destination_stride = mcy_matrix_stride(destination);
    if (q->addend) {
        const size_t other = place_of(q->addend, place_of(q, step));
        out->addend = address_of(q, output_of(q->addend, other, q->addend->cell_count - 1));
    }
}

static void fill_state(const mcy_matrix_sequence *q, size_t step, size_t layer, mpsrnn_matrix_step *out)
{
    const mpsrnn_matrix_state *kept = kept_state(q, step, layer);
    if (step > 0) {
        out->output_in = address_of(q, output_of(q, step - 1, layer));
        out->memory_in = address_of(q, memory_of(q, step - 1, layer));
        out->output_in_stride = out->memory_in_stride = slices_of(q, layer) * 4;
    } else if (q->state_in) {
        const mpsrnn_matrix_state *state = &q->state_in[q->cells[layer]->index];
        out->output_in = mcy_memory_address(mcy_matrix_memory(&state->output));
        out->output_in_stride = mcy_matrix_stride(&state->output);
        if (state->memory.buffer) {
            out->memory_in = mcy_memory_address(mcy_matrix_memory(&state->memory));
            out->memory_in_stride = mcy_matrix_stride(&state->memory);
        }
    }
    out->output = address_of(q, output_of(q, step, layer));
    out->memory = address_of(q, memory_of(q, step, layer));
    if (kept) {
        out->is_kept = 1;
        out->kept_output = mcy_memory_address(mcy_matrix_memory(&kept->output));
        out->kept_output_stride = mcy_matrix_stride(&kept->output);
        if (kept->memory.buffer) {
            out->kept_memory = mcy_memory_address(mcy_matrix_memory(&kept->memory));
            out->kept_memory_stride = mcy_matrix_stride(&kept->memory);
        }
    }
}

static void fill_intermediate(const mcy_matrix_sequence *q, size_t step, size_t layer, mpsrnn_matrix_step *out)
{
    const mcy_cell *cell = q->cells[layer];
    const mcy_matrix_scratch *scratch = &q->scratch[layer];
    if (cell->stage_count == 2) {
        out->gate = address_of(q, own_memory(q, scratch->gate));
    }
    if (q->records) {
        out->reset = mcy_memory_address(q->records[step].reset);
        out->updated = mcy_memory_address(q->records[step].updated);
        out->sums = mcy_memory_address(q->records[step].sums);
    } else if (cell->kind == MPSRNN_CELL_GRU) {
        out->reset = cell->has_recurrent ? address_of(q, own_memory(q, scratch->reset)) : 0;
        out->updated = cell->has_memory ? address_of(q, own_memory(q, scratch->updated)) : 0;
    }
}

static void fill_table(const mcy_matrix_sequence *q)
{
    mpsrnn_matrix_step *next = [q->table->metal contents];
    for (size_t l = 0; l < q->cell_count; ++l) {
        for (size_t s = 0; s < q->count; ++s) {
            mpsrnn_matrix_step step = { .rows = q->sources[place_of(q, s)].rows, .state_rows = state_rows(q, s) };
            fill_source(q, s, l, &step);
            fill_destination(q, s, l, &step);
            fill_state(q, s, l, &step);
            fill_intermediate(q, s, l, &step);
            *next++ = step;
        }
    }
}

mpsrnn_status mcy_matrix_sequence_prepare(mcy_matrix_sequence *q, mpsrnn_error *error)
{
    mpsrnn_status status = make_memory(q, error);
    for (size_t l = 0; l < q->cell_count && status == MPSRNN_STATUS_OK; ++l) {
        status = mcy_matrix_pipeline(q, l, &q->pipelines[l], error);
    }
    if (status == MPSRNN_STATUS_OK) {
        fill_table(q);
    }
    return status;
}

void mcy_matrix_sequence_destroy(mcy_matrix_sequence *q)
{
    [q->memory release];
    [q->table release];
    free(q->scratch);
    free(q->pipelines);
}

/* ---- Encoding ---- */

static void use_matrices(const mcy_matrix_sequence *q, const mpsrnn_matrix *matrices, BOOL is_written)
{
    for (size_t t = 0; matrices && t < q->count; ++t) {
        if (t == 0 || matrices[t].buffer != matrices[t - 1].buffer) {
            mcy_memory_use(q->command->encoder, mcy_matrix_memory(&matrices[t]), is_written);
        }
    }
}

static void use_state(const mcy_matrix_sequence *q, const mpsrnn_matrix_state *state, BOOL is_written)
{
    mcy_memory_use(q->command->encoder, mcy_matrix_memory(&state->output), is_written);
    mcy_memory_use(q->command->encoder, mcy_matrix_memory(&state->memory), is_written);
}

/* What training keeps of one step lies in one buffer or in several. */
static void use_record(const mcy_matrix_sequence *q, const mcy_matrix_record *record)
{
    const mcy_memory parts[] = { record->output, record->memory, record->reset, record->updated, record->sums };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i) {
        if (i == 0 || parts[i].buffer != parts[i - 1].buffer) {
            mcy_memory_use(q->command->encoder, parts[i], YES);
        }
    }
}

/* Every buffer that the table points into. */
void mcy_matrix_sequence_use_resources(const mcy_matrix_sequence *q)
{
    use_matrices(q, q->sources, NO);
    use_matrices(q, q->destinations, YES);
    for (size_t l = 0; l < q->cell_count; ++l) {
        if (q->state_in) {
            use_state(q, &q->state_in[q->cells[l]->index], NO);
        }
        for (size_t i = 0; i < q->state_count; ++i) {
            use_state(q, kept_state(q, q->count - q->state_count + i, l), YES);
        }
    }
    for (size_t s = 0; q->records && s < q->count; ++s) {
        use_record(q, &q->records[s]);
    }
    if (q->memory) {
        mcy_memory_use(q->command->encoder, own_memory(q, 0), YES);
    }
    if (q->addend) {
        mcy_memory_use(q->command->encoder, own_memory(q->addend, 0), NO);
    }
}

static void bind_stage(const mcy_matrix_sequence *q, const mcy_cell *cell, size_t index)
{
    static const NSUInteger places[2][3] = {
        { MPSRNN_BUFFER_PARAMS, MPSRNN_BUFFER_WEIGHTS, MPSRNN_BUFFER_CHANNELS },
        { MPSRNN_BUFFER_OUTPUT_PARAMS, MPSRNN_BUFFER_OUTPUT_WEIGHTS, MPSRNN_BUFFER_OUTPUT_CHANNELS },
    };
    id<MTLComputeCommandEncoder> encoder = q->command->encoder;
    MCYStage *stage = cell->stages[index];
    const mcy_matrix_weights *given = &q->weights[index];
    [encoder setBytes:&stage->params length:sizeof stage->params atIndex:places[index][0]];
    [encoder setBuffer:given->weights ? given->weights : stage->weights offset:0 atIndex:places[index][1]];
    [encoder setBuffer:given->channels ? given->channels : stage->channels offset:0 atIndex:places[index][2]];
}

/* Dispatches the steps and phases of `run`, for the first `rows` rows, with `threads` threads to a threadgroup. */
static void dispatch_run(const mcy_matrix_sequence *q, const mpsrnn_matrix_run *run, uint32_t rows, uint32_t width,
                         uint32_t threads)
{
    const uint32_t block = mcy_matrix_rows_per_thread(q);
    [q->command->encoder setBytes:run length:sizeof *run atIndex:MPSRNN_BUFFER_RUN];
    mcy_command_dispatch_threadgroups(q->command, width, rows / block + (rows % block != 0), threads);
}

bool mcy_matrix_takes_one_dispatch(const mcy_matrix_sequence *q, size_t layer)
{
    return q->cells[layer]->output_channels <= MPSRNN_SEQUENCE_CHANNELS
           || mcy_spreads_threadgroups(q->pipelines[layer]);
}

void mcy_matrix_sequence_encode_layer(const mcy_matrix_sequence *q, size_t layer)
{
    const mcy_cell *cell = q->cells[layer];
    const uint32_t slices = slices_of(q, layer);
    const uint32_t phases = (uint32_t)cell->stage_count, count = (uint32_t)q->count;
    id<MTLComputeCommandEncoder> encoder = q->command->encoder;
    [encoder setComputePipelineState:q->pipelines[layer]];
    [encoder setBuffer:q->table->metal
                offset:layer * q->count * sizeof(mpsrnn_matrix_step)
               atIndex:MPSRNN_BUFFER_STEPS];
    for (uint32_t i = 0; i < phases; ++i) {
        bind_stage(q, cell, i);
    }
    if (mcy_matrix_takes_one_dispatch(q, layer)) {
        const mpsrnn_matrix_run run = { 0, count, 0, phases };
        dispatch_run(q, &run, q->rows, 1, slices < MPSRNN_SEQUENCE_THREADS ? slices : MPSRNN_SEQUENCE_THREADS);
        return;
    }
    for (uint32_t s = 0; s < count; ++s) {
        const uint32_t running = q->sources[place_of(q, s)].rows, stateful = state_rows(q, s);
        for (uint32_t i = 0; i < phases; ++i) {
            const mpsrnn_matrix_run run = { s, s + 1, i, i + 1 };
            dispatch_run(q, &run, running > stateful ? running : stateful,
                         (slices + MPSRNN_STEP_THREADS - 1) / MPSRNN_STEP_THREADS, MPSRNN_STEP_THREADS);
        }
    }
}

void mcy_matrix_sequence_encode(const mcy_matrix_sequence *q)
{
    mcy_matrix_sequence_use_resources(q);
    for (size_t l = 0; l < q->cell_count; ++l) {
        mcy_matrix_sequence_encode_layer(q, l);
    }
}
