// The neurons of metal/neuron.h on whole vectors; those that no recurrent network spends its time on take the kernel's.
#ifndef TWIN_ACTIVATION_H
#define TWIN_ACTIVATION_H
#include "surface.h"

namespace metal {
namespace {
#include "neuron.h"
} // namespace
} // namespace metal

namespace {
namespace twin {

// Of MPSCNNNeuronType.
enum { SIGMOID = 3, TANH = 5 };

__attribute__((noinline)) inline vf kernel_neuron(uint32_t type, vf x, vf a, float b, float c)
{
    f4 parts[TEXELS];
    for (int i = 0; i < TEXELS; ++i) {
        metal::float4 value(0.0f), slope(0.0f);
        value.v = part(x, i);
        slope.v = part(a, i);
        parts[i] = metal::neuron(type, value, slope, b, c).v;
    }
    return join(parts);
}

TWIN_INLINE vf activate(uint32_t type, vf x, vf a, float b, float c)
{
    switch (type) {
    case 0:     // None
        return x;
    case 1:     // ReLU
    case 10:    // PReLU
        return select(x >= 0.0f, x, a * x);
    case SIGMOID:
        return sigmoid(x);
    case TANH:
        return a * tanh(b * x);
    default:
        return kernel_neuron(type, x, a, b, c);
    }
}

// The usual LSTM: sigmoid for the gates, tanh for memory and output, with two divisions in place of five. Products of
// the denominators are finite while no argument is beyond FAR; beyond, all is taken apart.
constexpr float FAR = 20.0f;

struct usual_state {
    vf memory, output;
};

__attribute__((noinline)) inline vf far_memory(vf in, vf forget, vf cell, vf c0)
{
    return sigmoid(forget) * c0 + sigmoid(in) * tanh(cell);
}

__attribute__((noinline)) inline vf far_output(vf out, vf c1) { return sigmoid(out) * tanh(c1); }

TWIN_INLINE usual_state usual_cell(const vf *gates, vf c0)
{
    enum { IN, FORGET, CELL, OUT, COUNT };
    const vf far = largest(largest(absolute(gates[IN]), absolute(gates[FORGET])),
                           largest(absolute(gates[CELL]), absolute(gates[OUT])));
    const bool is_near = all_below(far, FAR) && all_below(absolute(c0), 1e9f);
    usual_state next;
    power_of_two e[COUNT];
    const vf powers[COUNT] = {-gates[IN], -gates[FORGET], gates[CELL] * 2.0f, -gates[OUT]};
    exp_parts_of<COUNT>(powers, e);
    const vf in = 1.0f + (e[IN].scale + e[IN].scale * e[IN].rest);
    const vf forget = 1.0f + (e[FORGET].scale + e[FORGET].scale * e[FORGET].rest);
    const vf below = (e[CELL].scale - 1.0f) + e[CELL].scale * e[CELL].rest;
    const vf both = in * (below + 2.0f);
    next.memory = (c0 * both + below * forget) / (both * forget);
    if (__builtin_expect(!is_near, false))
        next.memory = far_memory(gates[IN], gates[FORGET], gates[CELL], c0);
    if (__builtin_expect(!is_near || !all_below(absolute(next.memory), FAR), false)) {
        next.output = far_output(gates[OUT], next.memory);
        return next;
    }
    const power_of_two c = exp_parts<false>(next.memory * 2.0f);
    const vf squashed = (c.scale - 1.0f) + c.scale * c.rest;
    const vf out = 1.0f + (e[OUT].scale + e[OUT].scale * e[OUT].rest);
    next.output = squashed / (out * (squashed + 2.0f));
    return next;
}

} // namespace twin
} // namespace
#endif
