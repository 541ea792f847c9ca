/* A training layer: a cell that knows which weights it has, but is passed their values with every call. */
#import "training.h"
#include <stdlib.h>
#include <string.h>

@implementation MCYTrainingLayer
- (void)dealloc
{
    mcy_cell_destroy(&cell);
    free(channels);
    [device release];
    [super dealloc];
}
@end

/* ---- Which matrices there are ---- */

static void find_parts(MCYTrainingLayer *layer, const mpsrnn_cell *cell)
{
    for (uint32_t g = 0; g < layer->gate_count; ++g) {
        const mpsrnn_gate *gate = &cell->gates[g];
        const BOOL is_lstm = cell->kind == MPSRNN_CELL_LSTM;
        const BOOL is_candidate = cell->kind == MPSRNN_CELL_GRU && g + 1 == layer->gate_count;
        layer->has[g][MCY_INPUT] = gate->input.weights && !cell->unit_transform;
        layer->has[g][MCY_RECURRENT] = gate->recurrent.weights != NULL;
        layer->has[g][MCY_MEMORY] = gate->memory.weights && (is_lstm || is_candidate);
        layer->has[g][MCY_DIAGONAL] = gate->diagonal && is_lstm;
        layer->has[g][MCY_BIAS] = gate->bias != NULL;
    }
}

mpsrnn_status mcy_training_check_weights(MCYTrainingLayer *layer, const mpsrnn_gate_matrices *gates, BOOL is_optional,
                                         uint32_t data_type, const char *what, mpsrnn_error *error)
{
    const uint32_t outputs = layer->cell.output_channels;
    for (uint32_t g = 0; g < layer->gate_count; ++g) {
        for (uint32_t p = 0; p < MCY_PART_COUNT; ++p) {
            const mpsrnn_matrix *matrix = mcy_part(gates, g, p);
            const size_t index = g * MCY_PART_COUNT + p;
            if (!matrix->buffer && (is_optional || !layer->has[g][p])) {
                continue;
            }
            if (!layer->has[g][p]) {
                return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: the cell has none", what, index);
            }
            const uint32_t columns = p == MCY_INPUT ? layer->cell.input_channels : outputs;
            mpsrnn_status status = mcy_matrix_check(matrix, layer->device, mcy_is_vector(p) ? 1 : outputs, columns,
                                                    what, index, error);
            if (status == MPSRNN_STATUS_OK && matrix->data_type != data_type) {
                status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: data type %#x; %#x expected", what,
                                  index, matrix->data_type, data_type);
            }
            if (status != MPSRNN_STATUS_OK) {
                return status;
            }
        }
    }
    return MPSRNN_STATUS_OK;
}

void mcy_training_use_weights(MCYTrainingLayer *layer, MCYCommand *command, const mpsrnn_gate_matrices *gates,
                              BOOL is_written)
{
    for (uint32_t g = 0; g < layer->gate_count; ++g) {
        for (uint32_t p = 0; p < MCY_PART_COUNT; ++p) {
            mcy_memory_use(command->encoder, mcy_matrix_memory(mcy_part(gates, g, p)), is_written);
        }
    }
}

/* ---- Making a layer ---- */

/* Zeros for the largest matrix of a cell, which stand for values that are not read. */
static void *new_zeros(const mpsrnn_cell *cell)
{
    const size_t inputs = cell->input_channels, outputs = cell->output_channels;
    size_t count;
    const BOOL is_too_large = __builtin_mul_overflow(outputs, inputs > outputs ? inputs : outputs, &count);
    return is_too_large ? NULL : calloc(count > 0 ? count : 1, sizeof(float));
}

static mpsrnn_cell without_values(const mpsrnn_cell *cell, const void *zeros)
{
    mpsrnn_cell result = *cell;
    for (int g = 0; g < MPSRNN_MAX_GATES; ++g) {
        mpsrnn_gate *gate = &result.gates[g];
        gate->input.weights = gate->input.weights ? zeros : NULL;
        gate->recurrent.weights = gate->recurrent.weights ? zeros : NULL;
        gate->memory.weights = gate->memory.weights ? zeros : NULL;
        gate->diagonal = gate->diagonal ? zeros : NULL;
        gate->bias = gate->bias ? zeros : NULL;
    }
    return result;
}

static BOOL has_groups(const mpsrnn_cell *cell)
{
    for (int g = 0; g < MPSRNN_MAX_GATES; ++g) {
        const mpsrnn_gate *gate = &cell->gates[g];
        const mpsrnn_convolution *all[] = { &gate->input, &gate->recurrent, &gate->memory };
        for (int i = 0; i < 3; ++i) {
            if (all[i]->weights && all[i]->groups != 1) {
                return YES;
            }
        }
    }
    return NO;
}

/* What the kernels of gradients read: all gates as those of one stage. */
static mpsrnn_status join_gates(MCYTrainingLayer *layer, const mpsrnn_cell *cell, mpsrnn_error *error)
{
    const uint32_t gates = layer->gate_count, outputs = cell->output_channels;
    layer->params = layer->cell.stages[0]->params;
    layer->constants = layer->cell.stages[0]->constants;
    layer->channel_bytes = (size_t)mcy_slices(outputs) * gates * MPSRNN_CHANNEL_ROWS * 4 * sizeof(float);
    layer->channels = calloc(1, layer->channel_bytes);
    if (!layer->channels) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a cell of %u channels", outputs);
    }
    for (uint32_t g = 0; g < gates; ++g) {
        const mpsrnn_neuron *neuron = &cell->gates[g].neuron;
        layer->constants.values[MPSRNN_CONSTANT_NEURON_0 + g] = (uint32_t)neuron->type;
        layer->params.neurons[g].b = neuron->b;
        layer->params.neurons[g].c = neuron->c;
        for (uint32_t o = 0; o < outputs; ++o) {
            float *row = layer->channels + ((size_t)(o / 4) * gates + g) * MPSRNN_CHANNEL_ROWS * 4 + o % 4;
            row[MPSRNN_CHANNEL_A * 4] = neuron->channel_a ? neuron->channel_a[o] : neuron->a;
        }
    }
    return MPSRNN_STATUS_OK;
}

static mpsrnn_status fill_layer(MCYTrainingLayer *layer, const mpsrnn_cell *cell, mpsrnn_error *error)
{
    if (has_groups(cell)) {
        return mcy_fail(error, MPSRNN_STATUS_UNSUPPORTED, "groups cannot be trained");
    }
    void *zeros = new_zeros(cell);
    if (!zeros) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a cell of %u input and %u output channels",
                        cell->input_channels, cell->output_channels);
    }
    const mpsrnn_cell empty = without_values(cell, zeros);
    mpsrnn_status status = mcy_matrix_cell_create(layer->device, &empty, &layer->cell, error);
    free(zeros);
    if (status != MPSRNN_STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < layer->cell.stage_count; ++i) {
        MCYStage *stage = layer->cell.stages[i];
        layer->weight_bytes[i] = [stage->weights length];
        [stage->weights release];
        stage->weights = nil;
    }
    layer->gate_count = mcy_gate_count(cell->kind);
    layer->data_type = cell->float32_weights ? MPSRNN_FLOAT32 : MPSRNN_FLOAT16;
    find_parts(layer, cell);
    return join_gates(layer, cell, error);
}

mpsrnn_status mcy_training_layer_create(mpsrnn_device device, const mpsrnn_cell *cell, mpsrnn_training_layer *out,
                                        mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mpsrnn_status status = MPSRNN_STATUS_OK;
    MCYTrainingLayer *layer = [[MCYTrainingLayer alloc] init];
    if (layer) {
        layer->device = [(MCYDevice *)device retain];
        status = fill_layer(layer, cell, error);
    } else {
        status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a layer");
    }
    if (status == MPSRNN_STATUS_OK) {
        *out = (mpsrnn_training_layer)layer;
    } else {
        [layer release];
    }
    [pool drain];
    return status;
}
