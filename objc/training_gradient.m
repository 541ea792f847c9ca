/* The gradient of a sequence. What the caller passes is first copied into rows of our own; then the kernels of the cell
 * walk down in time, in one dispatch or, for a large layer, one for every step and phase; what does not recur, the
 * gradients with respect to inputs and weights, follows for all steps at once.
 *
 * As in a sequence, everything is made before anything is encoded. */
#import "training.h"
#include <stdio.h>

/* ---- Memory ---- */

static uint32_t slices_of(const mcy_gradient *g)
{
    return mcy_slices(g->layer->cell.output_channels);
}

static uint32_t input_slices_of(const mcy_gradient *g)
{
    return mcy_slices(g->layer->cell.input_channels);
}

static BOOL is_lstm(const mcy_gradient *g)
{
    return g->layer->cell.kind == MPSRNN_CELL_LSTM;
}

/* The `index`-th of values of so many slices to a row that begin at `start`. */
static uint64_t own_address(const mcy_gradient *g, size_t start, size_t index, uint32_t slices)
{
    const mcy_memory memory = { g->memory->metal, start + index * g->rows * slices * 4 * sizeof(float) };
    return mcy_memory_address(memory);
}

/* The slot of the carry with respect to the state before step `t`, or after the last. */
static size_t slot_of(const mcy_gradient *g, size_t t)
{
    return t % g->carry_slots;
}

static mpsrnn_status make_memory(mcy_gradient *g, mpsrnn_error *error)
{
    const uint32_t slices = slices_of(g), gates = g->layer->gate_count;
    size_t total = 0;
    g->carry_slots = g->carry_count == g->count ? g->count + 1 : 2;
    g->source_start = mcy_training_reserve(&total, g->rows, input_slices_of(g),
                                           mcy_gradient_needs_sources(g) ? g->count : 0);
    g->gradient_start = mcy_training_reserve(&total, g->rows, slices, g->count);
    g->delta_start = mcy_training_reserve(&total, g->rows, slices, g->count * gates);
    g->carry_output_start = mcy_training_reserve(&total, g->rows, slices, g->carry_slots);
    g->carry_memory_start = mcy_training_reserve(&total, g->rows, slices, is_lstm(g) ? g->carry_slots : 0);
    mpsrnn_status status = mcy_buffer_create(g->layer->device, total, MTLResourceStorageModePrivate, &g->memory,
                                             error);
    return status == MPSRNN_STATUS_OK
               ? mcy_buffer_create(g->layer->device, g->count * sizeof(mpsrnn_gradient_step),
                                   MTLResourceStorageModeShared, &g->table, error)
               : status;
}

static mpsrnn_gradient_step step_at(const mcy_gradient *g, size_t t)
{
    const uint32_t slices = slices_of(g);
    const MCYTrainingState *state = g->states[t];
    const BOOL has_memory = is_lstm(g);
    mpsrnn_gradient_step step = {
        .source = own_address(g, g->source_start, t, input_slices_of(g)),
        .gradient = own_address(g, g->gradient_start, t, slices),
        .output_in = mcy_memory_address(state->output_in),
        .memory_in = mcy_memory_address(state->memory_in),
        .memory = mcy_memory_address(state->record.memory),
        .reset = mcy_memory_address(state->record.reset),
        .updated = mcy_memory_address(state->record.updated),
        .sums = mcy_memory_address(state->record.sums),
        .delta = own_address(g, g->delta_start, t, slices * g->layer->gate_count),
        .carry_output_in = own_address(g, g->carry_output_start, slot_of(g, t + 1), slices),
        .carry_memory_in = has_memory ? own_address(g, g->carry_memory_start, slot_of(g, t + 1), slices) : 0,
        .carry_output = own_address(g, g->carry_output_start, slot_of(g, t), slices),
        .carry_memory = has_memory ? own_address(g, g->carry_memory_start, slot_of(g, t), slices) : 0,
        .rows = g->sources[t].rows,
    };
    if (g->source_gradients) {
        step.source_gradient = mcy_memory_address(mcy_matrix_memory(&g->source_gradients[t]));
        step.source_gradient_stride = mcy_matrix_stride(&g->source_gradients[t]);
    }
    return step;
}

/* ---- Copies ---- */

static void add_copy(mcy_matrix_copies *copies, const mpsrnn_matrix *matrix, uint64_t own, uint32_t rows, BOOL is_in)
{
    const mcy_strided caller = mcy_matrix_strided(matrix), here = { own, mcy_slices(matrix->columns) * 4, NO };
    mcy_matrix_copies_add(copies, is_in ? &caller : &here, is_in ? &here : &caller, rows, matrix->columns);
}

static void add_carry(const mcy_gradient *g, mcy_matrix_copies *copies, const mpsrnn_matrix_state *carry, size_t t,
                      BOOL is_in)
{
    const uint32_t slices = slices_of(g);
    add_copy(copies, &carry->output, own_address(g, g->carry_output_start, slot_of(g, t), slices), carry->output.rows,
             is_in);
    if (is_lstm(g)) {
        add_copy(copies, &carry->memory, own_address(g, g->carry_memory_start, slot_of(g, t), slices),
                 carry->memory.rows, is_in);
    }
}

static mpsrnn_status prepare_copies(mcy_gradient *g, mpsrnn_error *error)
{
    mpsrnn_status status = mcy_matrix_copies_create(2 * g->count + 2, &g->before, error);
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_matrix_copies_create(2 * g->carry_count, &g->after, error);
    }
    if (status != MPSRNN_STATUS_OK) {
        return status;
    }
    const BOOL needs_sources = mcy_gradient_needs_sources(g);
    for (size_t t = 0; t < g->count; ++t) {
        const uint32_t rows = g->sources[t].rows;
        add_copy(&g->before, &g->gradients[t], own_address(g, g->gradient_start, t, slices_of(g)), rows, YES);
        if (needs_sources) {
            add_copy(&g->before, &g->sources[t], own_address(g, g->source_start, t, input_slices_of(g)), rows, YES);
        }
    }
    if (g->carry_in) {
        add_carry(g, &g->before, g->carry_in, g->count, YES);
    }
    for (size_t i = 0; i < g->carry_count; ++i) {
        add_carry(g, &g->after, &g->carries_out[i], i, NO);
    }
    status = mcy_matrix_copies_prepare(&g->before, g->layer->device, error);
    return status == MPSRNN_STATUS_OK ? mcy_matrix_copies_prepare(&g->after, g->layer->device, error) : status;
}

/* ---- Preparation ---- */

static uint32_t rows_per_thread(const mcy_gradient *g)
{
    return g->rows < MPSRNN_ROWS_PER_THREAD ? 1 : MPSRNN_ROWS_PER_THREAD;
}

static mpsrnn_status find_pipeline(const mcy_gradient *g, const char *stem, id<MTLComputePipelineState> *out,
                                   mpsrnn_error *error)
{
    char library[32], name[64];
    snprintf(library, sizeof library, "%s_gradient", stem);
    snprintf(name, sizeof name, "%s_%s_%u", library, g->layer->data_type == MPSRNN_FLOAT32 ? "float" : "half",
             rows_per_thread(g));
    return mcy_device_pipeline(g->layer->device, library, name, &g->layer->constants, out, error);
}

static mpsrnn_status prepare(mcy_gradient *g, mpsrnn_error *error)
{
    mpsrnn_status status = make_memory(g, error);
    if (status == MPSRNN_STATUS_OK) {
        mpsrnn_gradient_step *steps = [g->table->metal contents];
        for (size_t t = 0; t < g->count; ++t) {
            steps[t] = step_at(g, t);
        }
        status = prepare_copies(g, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        g->params.rows = g->rows;
        g->params.gates = g->layer->gate_count;
        g->params.input_slices = input_slices_of(g);
        g->params.is_half = g->source_gradients && g->source_gradients[0].data_type == MPSRNN_FLOAT16;
        status = mcy_pack_gradient(g->layer, g->weights, g->source_gradients != NULL, &g->params, &g->packed, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = find_pipeline(g, g->layer->cell.library, &g->pipeline, error);
    }
    if (status == MPSRNN_STATUS_OK && g->source_gradients) {
        status = find_pipeline(g, "input", &g->input_pipeline, error);
    }
    return status == MPSRNN_STATUS_OK ? mcy_weight_gradients_prepare(g, error) : status;
}

static void destroy(mcy_gradient *g)
{
    [g->memory release];
    [g->table release];
    mcy_packed_weights_destroy(&g->packed);
    mcy_matrix_copies_destroy(&g->before);
    mcy_matrix_copies_destroy(&g->after);
}

/* ---- Encoding ---- */

static void use_matrix(const mcy_gradient *g, const mpsrnn_matrix *matrix, BOOL is_written)
{
    mcy_memory_use(g->command->encoder, mcy_matrix_memory(matrix), is_written);
}

/* Every buffer that a table points into, but for packed weights. */
static void use_resources(const mcy_gradient *g)
{
    const mcy_memory own = { g->memory->metal, 0 };
    mcy_memory_use(g->command->encoder, own, YES);
    mcy_training_use_weights(g->layer, g->command, g->weights, NO);
    if (g->weight_gradients) {
        mcy_training_use_weights(g->layer, g->command, g->weight_gradients, YES);
    }
    for (size_t t = 0; t < g->count; ++t) {
        use_matrix(g, &g->sources[t], NO);
        use_matrix(g, &g->gradients[t], NO);
        if (g->source_gradients) {
            use_matrix(g, &g->source_gradients[t], YES);
        }
        if (t == 0 || g->states[t]->memory != g->states[t - 1]->memory) {
            mcy_memory_use(g->command->encoder, g->states[t]->record.output, NO);
        }
    }
    if (g->carry_in) {
        use_matrix(g, &g->carry_in->output, NO);
        use_matrix(g, &g->carry_in->memory, NO);
    }
    for (size_t i = 0; i < g->carry_count; ++i) {
        use_matrix(g, &g->carries_out[i].output, YES);
        use_matrix(g, &g->carries_out[i].memory, YES);
    }
}

static uint32_t blocks_of(const mcy_gradient *g)
{
    const uint32_t rows = rows_per_thread(g);
    return g->rows / rows + (g->rows % rows != 0);
}

static void dispatch_run(const mcy_gradient *g, const mpsrnn_matrix_run *run, uint32_t width, uint32_t threads)
{
    [g->command->encoder setBytes:run length:sizeof *run atIndex:MPSRNN_BUFFER_RUN];
    mcy_command_dispatch_threadgroups(g->command, width, blocks_of(g), threads);
}

static void encode_recurrence(const mcy_gradient *g)
{
    const uint32_t slices = slices_of(g), count = (uint32_t)g->count;
    /* The LSTM's output gate has a phase of its own only if its peephole is a matrix. */
    const BOOL has_split = g->layer->constants.values[MPSRNN_CONSTANT_SPLITS_OUTPUT] != 0;
    const uint32_t first = is_lstm(g) && !has_split ? 1 : 0;
    const uint32_t last = g->layer->cell.kind == MPSRNN_CELL_SINGLE_GATE ? 2 : 3;
    [g->command->encoder setComputePipelineState:g->pipeline];
    if (g->layer->cell.output_channels <= MPSRNN_SEQUENCE_CHANNELS) {
        const mpsrnn_matrix_run run = { 0, count, first, last };
        dispatch_run(g, &run, 1, slices < MPSRNN_SEQUENCE_THREADS ? slices : MPSRNN_SEQUENCE_THREADS);
        return;
    }
    for (uint32_t t = count; t-- > 0;) {
        for (uint32_t phase = first; phase < last; ++phase) {
            const mpsrnn_matrix_run run = { t, t + 1, phase, phase + 1 };
            dispatch_run(g, &run, (slices + MPSRNN_STEP_THREADS - 1) / MPSRNN_STEP_THREADS, MPSRNN_STEP_THREADS);
        }
    }
}

static void encode(const mcy_gradient *g)
{
    id<MTLComputeCommandEncoder> encoder = g->command->encoder;
    use_resources(g);
    mcy_packed_weights_encode(&g->packed, g->command);
    mcy_matrix_copies_encode(&g->before, g->command);
    [encoder setBytes:&g->layer->params length:sizeof g->layer->params atIndex:MPSRNN_BUFFER_PARAMS];
    [encoder setBytes:&g->params length:sizeof g->params atIndex:MPSRNN_BUFFER_GRADIENT_PARAMS];
    [encoder setBuffer:g->packed.weights[0]->metal offset:0 atIndex:MPSRNN_BUFFER_WEIGHTS];
    [encoder setBuffer:g->packed.channels[0]->metal offset:0 atIndex:MPSRNN_BUFFER_CHANNELS];
    [encoder setBuffer:g->table->metal offset:0 atIndex:MPSRNN_BUFFER_STEPS];
    encode_recurrence(g);
    if (g->source_gradients) {
        [encoder setComputePipelineState:g->input_pipeline];
        mcy_command_dispatch(g->command, input_slices_of(g), blocks_of(g), (uint32_t)g->count);
    }
    mcy_weight_gradients_encode(g);
    mcy_matrix_copies_encode(&g->after, g->command);
}

static mpsrnn_status run(mcy_gradient *g, mpsrnn_error *error)
{
    mpsrnn_status status = mcy_gradient_check(g, error);
    if (status == MPSRNN_STATUS_OK) {
        status = prepare(g, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_command_open_encoder(g->command, MTLDispatchTypeSerial, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        encode(g);
    }
    return status;
}

mpsrnn_status mcy_training_layer_encode_gradient(mpsrnn_training_layer layer, mpsrnn_command command,
                                                 const mpsrnn_gate_matrices *weights, const mpsrnn_matrix *sources,
                                                 const mpsrnn_matrix *gradients,
                                                 const mpsrnn_matrix *source_gradients, size_t count,
                                                 const mpsrnn_gate_matrices *weight_gradients, bool accumulate,
                                                 const mpsrnn_training_state *training,
                                                 const mpsrnn_matrix_state *carry_in,
                                                 const mpsrnn_matrix_state *carries_out, size_t carry_count,
                                                 mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mcy_gradient g = {
        .layer = (MCYTrainingLayer *)layer,
        .command = (MCYCommand *)command,
        .weights = weights,
        .sources = sources,
        .gradients = gradients,
        .source_gradients = source_gradients,
        .count = count,
        .weight_gradients = weight_gradients,
        .accumulates = accumulate,
        .states = (MCYTrainingState *const *)training,
        .carry_in = carry_in,
        .carries_out = carries_out,
        .carry_count = carry_count,
    };
    pthread_mutex_lock(&g.command->lock);
    mpsrnn_status status = run(&g, error);
    pthread_mutex_unlock(&g.command->lock);
    destroy(&g);
    [pool drain];
    return status;
}
