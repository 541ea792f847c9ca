// The neurons and the fused cells of the twins, applied to arrays of a multiple of MULTIPLE elements.
#include "matrix_lstm.h"

using namespace twin;

enum { GATES = 4 };

extern "C" {

extern const int LANES_OF_TWINS;
const int LANES_OF_TWINS = LANES;

void apply_neuron(uint32_t type, float a, float b, float c, const float *x, float *y, size_t count)
{
    for (size_t i = 0; i < count; i += LANES)
        store(y + i, activate(type, load(x + i), broadcast(a), b, c));
}

// The kernel's, which say what is NaN and what is infinite.
void apply_kernel_neuron(uint32_t type, float a, float b, float c, const float *x, float *y, size_t count)
{
    for (size_t i = 0; i < count; i += 4) {
        metal::float4 value(0.0f);
        value.v = load4(x + i);
        const f4 result = metal::neuron(type, value, metal::float4(a), b, c).v;
        memcpy(y + i, &result, sizeof result);
    }
}

// `gates`: [input, forget, cell, output][count].
void apply_image_cell(const float *gates, const float *c0, float *memory, float *output, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        vf sums[GATES];
        for (int g = 0; g < GATES; ++g)
            sums[g] = load(gates + g * count + i);
        const usual_state next = usual_cell(sums, load(c0 + i));
        store(memory + i, next.memory);
        store(output + i, next.output);
    }
}

void apply_matrix_cell(const float *gates, const float *c0, float *memory, float *output, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        vf sums[GATES];
        for (int g = 0; g < GATES; ++g)
            sums[g] = load(gates + g * count + i);
        lstm_state next[1];
        finish_usual_lstm<1>({{sums[0], sums[1], sums[2], sums[3], load(c0 + i)}}, next);
        store(memory + i, next[0].memory);
        store(output + i, next[0].output);
    }
}

} // extern "C"
