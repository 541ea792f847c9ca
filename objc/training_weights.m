/* Gradients of the weights: after the walk through time, all matrices in one dispatch and all vectors in another. */
#import "training.h"

/* What a part of a gate multiplies; see the formulae in the kernels of the cells. */
static uint32_t operand_of(const MCYTrainingLayer *layer, uint32_t gate, uint32_t part)
{
    const BOOL is_last = gate + 1 == layer->gate_count;
    const BOOL is_gru = layer->cell.kind == MPSRNN_CELL_GRU;
    switch (part) {
    case MCY_INPUT:
        return MPSRNN_OPERAND_SOURCE;
    case MCY_RECURRENT:
        return is_gru && is_last ? MPSRNN_OPERAND_RESET : MPSRNN_OPERAND_OUTPUT;
    case MCY_MEMORY:
    case MCY_DIAGONAL:
        return is_gru ? MPSRNN_OPERAND_UPDATED : is_last ? MPSRNN_OPERAND_MEMORY : MPSRNN_OPERAND_MEMORY_IN;
    default:
        return MPSRNN_OPERAND_ONE;
    }
}

BOOL mcy_gradient_needs_sources(const mcy_gradient *g)
{
    BOOL result = NO;
    for (uint32_t i = 0; g->weight_gradients && i < g->layer->gate_count; ++i) {
        result |= mcy_part(g->weight_gradients, i, MCY_INPUT)->buffer != NULL;
    }
    return result;
}

static mpsrnn_status find_pipeline(const mcy_gradient *g, const char *kernel, mcy_weight_gradients *gradients,
                                   mpsrnn_error *error)
{
    /* Those of the layer: the kernels depend on none, but share a header with others. */
    return gradients->count == 0 ? MPSRNN_STATUS_OK
                                 : mcy_device_pipeline(g->layer->device, "weight_gradient", kernel,
                                                       &g->layer->constants, &gradients->pipeline, error);
}

mpsrnn_status mcy_weight_gradients_prepare(mcy_gradient *g, mpsrnn_error *error)
{
    for (uint32_t i = 0; g->weight_gradients && i < g->layer->gate_count * MCY_PART_COUNT; ++i) {
        const uint32_t gate = i / MCY_PART_COUNT, part = i % MCY_PART_COUNT;
        const mpsrnn_matrix *matrix = mcy_part(g->weight_gradients, gate, part);
        mcy_weight_gradients *gradients = mcy_is_vector(part) ? &g->vectors : &g->matrices;
        if (matrix->buffer) {
            const mpsrnn_weight_gradient item = {
                .matrix = mcy_memory_address(mcy_matrix_memory(matrix)),
                .stride = mcy_matrix_stride(matrix),
                .columns = matrix->columns,
                .gate = gate,
                .operand = operand_of(g->layer, gate, part),
            };
            gradients->items[gradients->count++] = item;
            gradients->columns = matrix->columns > gradients->columns ? matrix->columns : gradients->columns;
        }
    }
    mpsrnn_status status = find_pipeline(g, "matrix_gradient", &g->matrices, error);
    return status == MPSRNN_STATUS_OK ? find_pipeline(g, "vector_gradient", &g->vectors, error) : status;
}

static BOOL are_half(const mcy_gradient *g)
{
    for (uint32_t i = 0; i < g->layer->gate_count * MCY_PART_COUNT; ++i) {
        const mpsrnn_matrix *matrix = mcy_part(g->weight_gradients, i / MCY_PART_COUNT, i % MCY_PART_COUNT);
        if (matrix->buffer) {
            return matrix->data_type == MPSRNN_FLOAT16;
        }
    }
    return NO;
}

static void encode_dispatch(const mcy_gradient *g, const mcy_weight_gradients *gradients, uint32_t height)
{
    id<MTLComputeCommandEncoder> encoder = g->command->encoder;
    if (gradients->count > 0) {
        [encoder setComputePipelineState:gradients->pipeline];
        [encoder setBytes:gradients->items
                   length:gradients->count * sizeof *gradients->items
                  atIndex:MPSRNN_BUFFER_JOBS];
        mcy_command_dispatch(g->command, mcy_slices(gradients->columns), height, gradients->count);
    }
}

void mcy_weight_gradients_encode(const mcy_gradient *g)
{
    if (!g->weight_gradients) {
        return;
    }
    const mpsrnn_weight_gradient_params params = {
        .steps = (uint32_t)g->count,
        .gates = g->layer->gate_count,
        .channels = g->layer->cell.output_channels,
        .slices = mcy_slices(g->layer->cell.output_channels),
        .input_slices = mcy_slices(g->layer->cell.input_channels),
        .accumulates = g->accumulates,
        .is_half = are_half(g),
    };
    [g->command->encoder setBytes:&params length:sizeof params atIndex:MPSRNN_BUFFER_PARAMS];
    encode_dispatch(g, &g->matrices, params.slices);
    encode_dispatch(g, &g->vectors, 1);
}
