/* What a forward pass keeps for the gradient. */
#import "training.h"
#include <stdlib.h>

@implementation MCYTrainingState
- (void)dealloc
{
    [memory release];
    [super dealloc];
}
@end

BOOL mcy_training_keeps(MCYTrainingLayer *layer, uint32_t part)
{
    return layer->cell.kind == MPSRNN_CELL_GRU && layer->has[layer->gate_count - 1][part];
}

size_t mcy_training_reserve(size_t *total, uint32_t rows, uint32_t slices, size_t count)
{
    const size_t start = *total;
    size_t size;
    if (__builtin_mul_overflow((size_t)rows * slices, count * 4 * sizeof(float), &size)
        || __builtin_add_overflow(start, size, total)) {
        *total = SIZE_MAX;
    }
    return start;
}

/* Where the values of one step lie, from the start of the call's memory; the state before it is the one after the step
 * before. */
typedef struct {
    size_t output, memory, reset, updated, sums;
} layout;

static layout plan_step(MCYTrainingLayer *layer, uint32_t all_rows, uint32_t rows, size_t *total)
{
    const uint32_t slices = mcy_slices(layer->cell.output_channels);
    const layout result = {
        .output = mcy_training_reserve(total, all_rows, slices, 1),
        .memory = mcy_training_reserve(total, all_rows, slices, layer->cell.kind == MPSRNN_CELL_LSTM),
        .reset = mcy_training_reserve(total, rows, slices, mcy_training_keeps(layer, MCY_RECURRENT)),
        .updated = mcy_training_reserve(total, rows, slices, mcy_training_keeps(layer, MCY_MEMORY)),
        .sums = mcy_training_reserve(total, rows, slices, layer->gate_count),
    };
    return result;
}

static mcy_memory at(MCYBuffer *buffer, size_t offset, BOOL exists)
{
    const mcy_memory memory = { exists ? buffer->metal : nil, offset };
    return memory;
}

/* `before` is where the state before the step lies. */
static MCYTrainingState *new_state(MCYTrainingLayer *layer, MCYBuffer *memory, uint32_t rows, const layout *before,
                                   const layout *step)
{
    const BOOL is_lstm = layer->cell.kind == MPSRNN_CELL_LSTM;
    MCYTrainingState *state = [[MCYTrainingState alloc] init];
    if (state) {
        state->memory = [memory retain];
        state->kind = layer->cell.kind;
        state->input_channels = layer->cell.input_channels;
        state->output_channels = layer->cell.output_channels;
        state->rows = rows;
        state->output_in = at(memory, before->output, YES);
        state->memory_in = at(memory, before->memory, is_lstm);
        state->record.output = at(memory, step->output, YES);
        state->record.memory = at(memory, step->memory, is_lstm);
        state->record.reset = at(memory, step->reset, mcy_training_keeps(layer, MCY_RECURRENT));
        state->record.updated = at(memory, step->updated, mcy_training_keeps(layer, MCY_MEMORY));
        state->record.sums = at(memory, step->sums, YES);
    }
    return state;
}

static mpsrnn_status fill_states(MCYTrainingLayer *layer, const mpsrnn_matrix *sources, size_t count,
                                 const layout *layouts, size_t length, MCYTrainingState **states, mpsrnn_error *error)
{
    MCYBuffer *memory = nil;
    mpsrnn_status status = mcy_buffer_create(layer->device, length, MTLResourceStorageModePrivate, &memory, error);
    for (size_t t = 0; t < count && status == MPSRNN_STATUS_OK; ++t) {
        states[t] = new_state(layer, memory, sources[t].rows, &layouts[t], &layouts[t + 1]);
        if (!states[t]) {
            status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for %zu training states", count);
        }
    }
    [memory release];
    return status;
}

mpsrnn_status mcy_training_states_create(MCYTrainingLayer *layer, const mpsrnn_matrix *sources, size_t count,
                                         MCYTrainingState **states, mpsrnn_error *error)
{
    layout *layouts = calloc(count + 1, sizeof *layouts);
    if (!layouts) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for %zu training states", count);
    }
    size_t total = 0;
    const uint32_t all_rows = sources[0].rows, slices = mcy_slices(layer->cell.output_channels);
    layouts[0].output = mcy_training_reserve(&total, all_rows, slices, 1);
    layouts[0].memory = mcy_training_reserve(&total, all_rows, slices, layer->cell.kind == MPSRNN_CELL_LSTM);
    for (size_t t = 0; t < count; ++t) {
        layouts[t + 1] = plan_step(layer, all_rows, sources[t].rows, &total);
    }
    mpsrnn_status status = fill_states(layer, sources, count, layouts, total, states, error);
    free(layouts);
    return status;
}
