/* From the weights of a cell's gates to what one kernel reads: taps, packed weights and per-channel rows (params.h). */
#import "shim.h"
#import "platform.h"
#include <stdlib.h>
#include <string.h>

@implementation MCYStage
- (void)dealloc
{
    [weights release];
    [taps release];
    [channels release];
    [super dealloc];
}
@end

typedef struct {
    int16_t x, y;
} tap;

/* Everything a stage packs, in plain memory until the device copies it. */
typedef struct {
    const mpsrnn_cell *cell;
    const mcy_stage_plan *plan;
    mpsrnn_cell_params params;
    tap *taps;
    size_t tap_count;
    char *weights;
    size_t weight_count;                        /* in units of four elements */
} packing;

static size_t element_size(const mpsrnn_cell *cell)
{
    return cell->float32_weights ? 4 : 2;
}

static const mpsrnn_convolution *share(const packing *k, uint32_t term, uint32_t gate)
{
    const mpsrnn_convolution *convolution = k->plan->terms[term * k->plan->gate_count + gate];
    return convolution && convolution->weights ? convolution : NULL;
}

/* Offset of the first of `size` taps: the window is centred on its dilated width, an even one a pixel to the left. */
static int32_t first_offset(uint32_t size, uint32_t dilation)
{
    return -(int32_t)(((size - 1) * dilation + 1) / 2);
}

static size_t find_tap(const packing *k, const mpsrnn_term *term, tap wanted)
{
    size_t i = term->first_tap;
    while (i < k->tap_count && (k->taps[i].x != wanted.x || k->taps[i].y != wanted.y)) {
        ++i;
    }
    return i - term->first_tap;
}

static tap tap_at(const mpsrnn_convolution *c, uint32_t x, uint32_t y)
{
    const tap result = {
        (int16_t)(first_offset(c->width, c->dilation_x) + (int32_t)(x * c->dilation_x)),
        (int16_t)(first_offset(c->height, c->dilation_y) + (int32_t)(y * c->dilation_y)),
    };
    return result;
}

/* Adds the windows of all gates of a term to the tap table. */
static mpsrnn_status collect_taps(packing *k, uint32_t index, mpsrnn_error *error)
{
    mpsrnn_term *term = &k->params.terms[index];
    term->first_tap = (uint32_t)k->tap_count;
    for (uint32_t g = 0; g < k->plan->gate_count; ++g) {
        const mpsrnn_convolution *c = share(k, index, g);
        if (!c) {
            continue;
        }
        if ((uint64_t)c->width * c->dilation_x > INT16_MAX || (uint64_t)c->height * c->dilation_y > INT16_MAX) {
            return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "kernel of %u x %u, dilation %u x %u; at most %d pixels "
                            "expected", c->width, c->height, c->dilation_x, c->dilation_y, INT16_MAX);
        }
        const size_t room = k->tap_count + (size_t)c->width * c->height;
        tap *grown = realloc(k->taps, room * sizeof *grown);
        if (!grown) {
            return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for %zu taps", room);
        }
        k->taps = grown;
        for (uint32_t y = 0; y < c->height; ++y) {
            for (uint32_t x = 0; x < c->width; ++x) {
                const tap wanted = tap_at(c, x, y);
                if (find_tap(k, term, wanted) == k->tap_count - term->first_tap) {
                    k->taps[k->tap_count++] = wanted;
                }
            }
        }
    }
    term->taps = (uint32_t)k->tap_count - term->first_tap;
    return MPSRNN_STATUS_OK;
}

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Groups of a term: what is block-diagonal for all gates at once. Less of it costs zero weights, never a wrong one. */
static uint32_t common_groups(const packing *k, uint32_t term)
{
    uint32_t groups = 0;
    for (uint32_t g = 0; g < k->plan->gate_count; ++g) {
        const mpsrnn_convolution *c = share(k, term, g);
        groups = c ? greatest_common_divisor(groups, c->groups) : groups;
    }
    return groups;
}

/* Puts the weights of one gate where the kernel looks for them. */
static void scatter(packing *k, uint32_t index, uint32_t gate)
{
    const mpsrnn_convolution *c = share(k, index, gate);
    const mpsrnn_term *term = &k->params.terms[index];
    const size_t element = element_size(k->cell);
    const uint32_t gates = k->plan->gate_count;
    const uint32_t outputs = k->cell->output_channels;
    const uint32_t inputs = k->plan->term_channels[index] / c->groups;
    const uint32_t block_outputs = outputs / common_groups(k, index);
    const uint32_t block_inputs = k->plan->term_channels[index] / common_groups(k, index);
    const char *from = c->weights;
    for (uint32_t o = 0; o < outputs; ++o) {
        for (uint32_t y = 0; y < c->height; ++y) {
            for (uint32_t x = 0; x < c->width; ++x) {
                const size_t t = find_tap(k, term, tap_at(c, x, y));
                for (uint32_t i = 0; i < inputs; ++i) {
                    const uint32_t input = o / (outputs / c->groups) * inputs + i - o / block_outputs * block_inputs;
                    size_t at = (o / 4 * term->taps + t) * term->group_source_slices + input / 4;
                    at = ((at * 4 + input % 4) * gates + gate + term->first_weight) * 4 + o % 4;
                    memcpy(k->weights + at * element, from, element);
                    from += element;
                }
            }
        }
    }
}

static mpsrnn_status pack_term(packing *k, uint32_t index, mpsrnn_error *error)
{
    mpsrnn_term *term = &k->params.terms[index];
    term->group_output_slices = 1;              /* the kernel divides by it before it sees that there are no taps */
    mpsrnn_status status = collect_taps(k, index, error);
    if (status != MPSRNN_STATUS_OK || term->taps == 0) {
        return status;
    }
    const uint32_t groups = common_groups(k, index);
    const uint32_t slices = k->params.slices;
    term->source_slices = mcy_slices(k->plan->term_channels[index]);
    term->group_source_slices = mcy_slices(k->plan->term_channels[index] / groups);
    term->group_output_slices = mcy_slices(k->cell->output_channels / groups);
    term->first_weight = (uint32_t)k->weight_count;
    const uint64_t count = (uint64_t)slices * term->taps * term->group_source_slices * 4 * k->plan->gate_count;
    const size_t unit = 4 * element_size(k->cell);
    const BOOL is_addressable = k->weight_count + count <= UINT32_MAX / 4;
    char *grown = is_addressable ? realloc(k->weights, (k->weight_count + count) * unit) : NULL;
    if (!grown) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for %llu packed weights",
                        (unsigned long long)count * 4);
    }
    k->weights = grown;
    memset(k->weights + k->weight_count * unit, 0, count * unit);
    k->weight_count += count;
    for (uint32_t g = 0; g < k->plan->gate_count; ++g) {
        if (share(k, index, g)) {
            scatter(k, index, g);
        }
    }
    return MPSRNN_STATUS_OK;
}

/* [output slice][gate][row] of four floats, see params.h. Zero beyond the last channel. */
static float *new_channel_rows(const packing *k)
{
    const uint32_t gates = k->plan->gate_count;
    float *rows = calloc((size_t)k->params.slices * gates * MPSRNN_CHANNEL_ROWS * 4, sizeof *rows);
    for (uint32_t o = 0; rows && o < k->cell->output_channels; ++o) {
        for (uint32_t g = 0; g < gates; ++g) {
            const mpsrnn_gate *gate = k->plan->gates[g];
            float *row = rows + ((size_t)(o / 4) * gates + g) * MPSRNN_CHANNEL_ROWS * 4 + o % 4;
            row[MPSRNN_CHANNEL_BIAS * 4] = gate->bias && k->plan->has_bias ? gate->bias[o] : 0.0f;
            row[MPSRNN_CHANNEL_A * 4] = gate->neuron.channel_a ? gate->neuron.channel_a[o] : gate->neuron.a;
            row[MPSRNN_CHANNEL_PEEPHOLE * 4] = gate->diagonal ? gate->diagonal[o] : 0.0f;
        }
    }
    return rows;
}

/* A table of nothing still has to be bound. */
static id<MTLBuffer> new_buffer(MCYDevice *device, const void *bytes, size_t length)
{
    static const float nothing[4];
    return [device->metal newBufferWithBytes:length > 0 ? bytes : nothing
                                      length:length > 0 ? length : sizeof nothing
                                     options:MTLResourceStorageModeShared];
}

static MCYStage *new_stage(MCYDevice *device, const packing *k)
{
    float *rows = new_channel_rows(k);
    MCYStage *stage = rows ? [[MCYStage alloc] init] : nil;
    if (stage) {
        const uint32_t gates = k->plan->gate_count;
        stage->kernel = k->plan->kernel;
        stage->float32_weights = k->cell->float32_weights;
        stage->params = k->params;
        stage->weights = new_buffer(device, k->weights, k->weight_count * 4 * element_size(k->cell));
        stage->taps = new_buffer(device, k->taps, k->tap_count * sizeof *k->taps);
        stage->channels = new_buffer(device, rows, k->params.slices * gates * MPSRNN_CHANNEL_ROWS * 4 * sizeof *rows);
        for (uint32_t g = 0; g < gates; ++g) {
            stage->constants.values[MPSRNN_CONSTANT_NEURON_0 + g] = (uint32_t)k->plan->gates[g]->neuron.type;
        }
        if (!stage->weights || !stage->taps || !stage->channels) {
            [stage release];
            stage = nil;
        }
    }
    free(rows);
    return stage;
}

static void set_constants(MCYStage *stage, const mpsrnn_cell *cell)
{
    uint32_t *values = stage->constants.values;
    values[MPSRNN_CONSTANT_UNIT_TRANSFORM] = cell->unit_transform;
    values[MPSRNN_CONSTANT_FLIP] = cell->flip_output_gates;
    values[MPSRNN_CONSTANT_P_NORM] = cell->kind == MPSRNN_CELL_GRU && cell->gate_p_norm != 1.0f;
    values[MPSRNN_CONSTANT_NEURON_OUTPUT] = (uint32_t)cell->output_neuron.type;
    for (int g = 0; cell->kind == MPSRNN_CELL_LSTM && g < MPSRNN_MAX_GATES; ++g) {
        values[MPSRNN_CONSTANT_HAS_PEEPHOLE] |= cell->gates[g].diagonal != NULL;
    }
}

mpsrnn_status mcy_stage_create(MCYDevice *device, const mpsrnn_cell *cell, const mcy_stage_plan *plan, MCYStage **out,
                               mpsrnn_error *error)
{
    packing k = { .cell = cell, .plan = plan };
    k.params.input_channels = cell->input_channels;
    k.params.channels = cell->output_channels;
    k.params.slices = mcy_slices(cell->output_channels);
    k.params.p_norm = cell->gate_p_norm;
    k.params.output_a = cell->output_neuron.a;
    k.params.output_neuron.b = cell->output_neuron.b;
    k.params.output_neuron.c = cell->output_neuron.c;
    for (uint32_t g = 0; g < plan->gate_count; ++g) {
        k.params.neurons[g].b = plan->gates[g]->neuron.b;
        k.params.neurons[g].c = plan->gates[g]->neuron.c;
    }
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (uint32_t t = 0; t < plan->term_count && status == MPSRNN_STATUS_OK; ++t) {
        status = pack_term(&k, t, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        MCYStage *stage = new_stage(device, &k);
        if (stage) {
            set_constants(stage, cell);
            *out = stage;
        } else {
            const char *violation = mcy_take_violation();
            status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "the weights of kernel '%s': %s", plan->kernel,
                              violation ? violation : "out of memory");
        }
    }
    free(k.taps);
    free(k.weights);
    return status;
}
