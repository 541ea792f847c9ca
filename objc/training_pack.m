/* From the matrices of a weight set to packed weights, by kernels: their values may still be on their way to the
 * device when a call is encoded. */
#import "training.h"
#include <stdio.h>

/* Adds the packing of a matrix or vector with a grid of `width` x `height` threads. */
static void add_pack(mcy_packs *packs, const mpsrnn_pack *item, uint32_t width, uint32_t height)
{
    packs->items[packs->count++] = *item;
    packs->width = width > packs->width ? width : packs->width;
    packs->height = height > packs->height ? height : packs->height;
}

static mpsrnn_status find_pipeline(MCYTrainingLayer *layer, const char *kernel, mcy_packs *packs, mpsrnn_error *error)
{
    static const mcy_constants constants;
    char name[32];
    snprintf(name, sizeof name, "%s_%s", kernel, layer->data_type == MPSRNN_FLOAT32 ? "float" : "half");
    return mcy_device_pipeline(layer->device, "pack", name, &constants, &packs->pipeline, error);
}

static mpsrnn_status find_pipelines(MCYTrainingLayer *layer, mcy_packed_weights *packed, mpsrnn_error *error)
{
    mpsrnn_status status = find_pipeline(layer, "pack_weights", &packed->matrices, error);
    return status == MPSRNN_STATUS_OK ? find_pipeline(layer, "pack_channels", &packed->vectors, error) : status;
}

static uint64_t address_of(const mpsrnn_matrix *matrix)
{
    return mcy_memory_address(mcy_matrix_memory(matrix));
}

static uint64_t start_of(MCYBuffer *buffer)
{
    const mcy_memory memory = { buffer->metal, 0 };
    return mcy_memory_address(memory);
}

/* Row `row` of a gate's channel rows, the gate being the `gate`-th of `gates` of its stage. */
static void add_vector(mcy_packed_weights *packed, const mpsrnn_matrix *vector, MCYBuffer *channels, uint32_t gate,
                       uint32_t gates, uint32_t row)
{
    const mpsrnn_pack item = {
        .matrix = address_of(vector),
        .packed = start_of(channels),
        .lane_stride = 1,
        .lanes = vector->columns,
        .depth = 1,
        .place = gate * MPSRNN_CHANNEL_ROWS + row,
        .places = gates * MPSRNN_CHANNEL_ROWS,
    };
    add_pack(&packed->vectors, &item, mcy_slices(vector->columns), 1);
}

/* ---- For the forward kernels ---- */

/* Where cell.m puts a matrix of a gate: in which stage, as which of its gates, in which term. */
typedef struct {
    uint32_t stage, gate, gates, term;
} stage_place;

static stage_place place_in_stage(MCYTrainingLayer *layer, uint32_t gate, uint32_t part)
{
    const BOOL is_matrix = !mcy_is_vector(part);
    stage_place result = { 0, gate, layer->gate_count, is_matrix ? part : 0 };
    if (layer->cell.kind == MPSRNN_CELL_GRU) {
        const BOOL is_candidate = gate + 1 == layer->gate_count;
        result.stage = is_candidate;
        result.gate = is_candidate ? 0 : gate;
        result.gates = is_candidate ? 1 : layer->gate_count - 1;
    }
    if (layer->cell.kind == MPSRNN_CELL_LSTM && gate == MPSRNN_GATE_OUTPUT && part == MCY_MEMORY) {
        result = (stage_place){ 1, 0, 1, 0 };
    }
    return result;
}

static void add_forward_matrix(MCYTrainingLayer *layer, const mpsrnn_matrix *matrix, const stage_place *place,
                               mcy_packed_weights *packed)
{
    const size_t unit = 4 * mcy_element_size(layer->data_type);
    const mpsrnn_term *term = &layer->cell.stages[place->stage]->params.terms[place->term];
    const mpsrnn_pack item = {
        .matrix = address_of(matrix),
        .packed = start_of(packed->weights[place->stage]) + term->first_weight * unit,
        .lane_stride = mcy_matrix_stride(matrix),
        .depth_stride = 1,
        .lanes = matrix->rows,
        .depth = matrix->columns,
        .place = place->gate,
        .places = place->gates,
    };
    add_pack(&packed->matrices, &item, mcy_slices(matrix->columns) * 4, mcy_slices(matrix->rows));
}

static mpsrnn_status make_stage_buffers(MCYTrainingLayer *layer, mcy_packed_weights *out, mpsrnn_error *error)
{
    mpsrnn_status status = find_pipelines(layer, out, error);
    for (size_t i = 0; i < layer->cell.stage_count && status == MPSRNN_STATUS_OK; ++i) {
        id<MTLBuffer> channels = layer->cell.stages[i]->channels;
        status = mcy_buffer_create_with_bytes(layer->device, [channels contents], [channels length], &out->channels[i],
                                              error);
        if (status == MPSRNN_STATUS_OK) {
            status = mcy_buffer_create(layer->device, layer->weight_bytes[i], MTLResourceStorageModePrivate,
                                       &out->weights[i], error);
        }
    }
    return status;
}

mpsrnn_status mcy_pack_forward(MCYTrainingLayer *layer, const mpsrnn_gate_matrices *gates, mcy_packed_weights *out,
                               mpsrnn_error *error)
{
    mpsrnn_status status = make_stage_buffers(layer, out, error);
    for (uint32_t g = 0; g < layer->gate_count && status == MPSRNN_STATUS_OK; ++g) {
        for (uint32_t p = 0; p < MCY_PART_COUNT; ++p) {
            const mpsrnn_matrix *matrix = mcy_part(gates, g, p);
            const stage_place place = place_in_stage(layer, g, p);
            if (!layer->has[g][p]) {
                continue;
            }
            if (mcy_is_vector(p)) {
                add_vector(out, matrix, out->channels[place.stage], place.gate, place.gates,
                           p == MCY_BIAS ? MPSRNN_CHANNEL_BIAS : MPSRNN_CHANNEL_PEEPHOLE);
            } else {
                add_forward_matrix(layer, matrix, &place, out);
            }
        }
    }
    return status;
}

/* ---- For the kernels of gradients ---- */

/* Units of four weights that a matrix takes, packed to carry gradients back through it. */
static uint64_t units_of(const mpsrnn_matrix *matrix)
{
    return (uint64_t)mcy_slices(matrix->columns) * mcy_slices(matrix->rows) * 4;
}

/* Where each matrix begins, in units; returns how many there are of these. */
static uint64_t plan_units(MCYTrainingLayer *layer, const mpsrnn_gate_matrices *gates, BOOL with_input,
                           mpsrnn_gradient_params *params)
{
    uint32_t *firsts[] = { params->input, params->recurrent, params->memory };
    uint64_t total = 0;
    for (uint32_t p = MCY_INPUT; p <= MCY_MEMORY; ++p) {
        for (uint32_t g = 0; g < MPSRNN_MAX_GATES; ++g) {
            firsts[p][g] = MPSRNN_ABSENT;
            if (g < layer->gate_count && layer->has[g][p] && (p != MCY_INPUT || with_input)) {
                firsts[p][g] = (uint32_t)total;
                total += units_of(mcy_part(gates, g, p));
            }
        }
    }
    return total;
}

static mpsrnn_status make_gradient_buffers(MCYTrainingLayer *layer, uint64_t units, mcy_packed_weights *out,
                                           mpsrnn_error *error)
{
    if (units >= MPSRNN_ABSENT) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for %llu packed weights",
                        (unsigned long long)units * 4);
    }
    mpsrnn_status status = find_pipelines(layer, out, error);
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_buffer_create_with_bytes(layer->device, layer->channels, layer->channel_bytes, &out->channels[0],
                                              error);
    }
    /* Nothing at all still has to be bound. */
    return status == MPSRNN_STATUS_OK
               ? mcy_buffer_create(layer->device, (units > 0 ? units : 1) * 4 * mcy_element_size(layer->data_type),
                                   MTLResourceStorageModePrivate, &out->weights[0], error)
               : status;
}

static void add_gradient_matrix(MCYTrainingLayer *layer, const mpsrnn_matrix *matrix, uint32_t first,
                                mcy_packed_weights *packed)
{
    const mpsrnn_pack item = {
        .matrix = address_of(matrix),
        .packed = start_of(packed->weights[0]) + (uint64_t)first * 4 * mcy_element_size(layer->data_type),
        .lane_stride = 1,
        .depth_stride = mcy_matrix_stride(matrix),
        .lanes = matrix->columns,
        .depth = matrix->rows,
        .places = 1,
    };
    add_pack(&packed->matrices, &item, mcy_slices(matrix->rows) * 4, mcy_slices(matrix->columns));
}

mpsrnn_status mcy_pack_gradient(MCYTrainingLayer *layer, const mpsrnn_gate_matrices *gates, BOOL with_input,
                                mpsrnn_gradient_params *params, mcy_packed_weights *out, mpsrnn_error *error)
{
    const uint64_t units = plan_units(layer, gates, with_input, params);
    mpsrnn_status status = make_gradient_buffers(layer, units, out, error);
    const uint32_t *firsts[] = { params->input, params->recurrent, params->memory };
    for (uint32_t g = 0; g < layer->gate_count && status == MPSRNN_STATUS_OK; ++g) {
        for (uint32_t p = MCY_INPUT; p <= MCY_MEMORY; ++p) {
            if (firsts[p][g] != MPSRNN_ABSENT) {
                add_gradient_matrix(layer, mcy_part(gates, g, p), firsts[p][g], out);
            }
        }
        if (layer->has[g][MCY_DIAGONAL]) {
            add_vector(out, mcy_part(gates, g, MCY_DIAGONAL), out->channels[0], g, layer->gate_count,
                       MPSRNN_CHANNEL_PEEPHOLE);
        }
    }
    return status;
}

/* ---- Encoding ---- */

static void encode_packs(const mcy_packs *packs, MCYCommand *command)
{
    if (packs->count > 0) {
        [command->encoder setComputePipelineState:packs->pipeline];
        [command->encoder setBytes:packs->items length:packs->count * sizeof *packs->items atIndex:MPSRNN_BUFFER_JOBS];
        mcy_command_dispatch(command, packs->width, packs->height, packs->count);
    }
}

void mcy_packed_weights_encode(const mcy_packed_weights *packed, MCYCommand *command)
{
    for (int i = 0; i < 2 && packed->weights[i]; ++i) {
        const mcy_memory weights = { packed->weights[i]->metal, 0 }, channels = { packed->channels[i]->metal, 0 };
        mcy_memory_use(command->encoder, weights, YES);
        mcy_memory_use(command->encoder, channels, YES);
    }
    encode_packs(&packed->matrices, command);
    encode_packs(&packed->vectors, command);
}

void mcy_packed_weights_destroy(mcy_packed_weights *packed)
{
    for (int i = 0; i < 2; ++i) {
        [packed->weights[i] release];
        [packed->channels[i] release];
    }
}
