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

// The usual LSTM takes two divisions where sigmoids and tanhs taken apart take five. Products of the denominators are
// finite while no argument is beyond FAR; beyond, they are taken apart.
constexpr float FAR = 20.0f;

__attribute__((noinline)) inline vf far_memory(vf in, vf forget, vf cell, vf c0)
{
    return sigmoid(forget) * c0 + sigmoid(in) * tanh(cell);
}

// sigmoid(forget) * c0 + sigmoid(in) * tanh(cell)
TWIN_INLINE vf usual_memory(vf in, vf forget, vf cell, vf c0)
{
    const bool is_near = all_below(absolute(in), FAR) && all_below(absolute(forget), FAR)
                         && all_below(absolute(cell), FAR) && all_below(absolute(c0), 1e9f);
    if (__builtin_expect(!is_near, false))
        return far_memory(in, forget, cell, c0);
    const power_of_two i = exp_parts<false>(-in), f = exp_parts<false>(-forget), c = exp_parts<false>(cell * 2.0f);
    const vf a = 1.0f + (i.scale + i.scale * i.rest);
    const vf d = 1.0f + (f.scale + f.scale * f.rest);
    const vf below = (c.scale - 1.0f) + c.scale * c.rest;
    const vf ab = a * (below + 2.0f);
    return (c0 * ab + below * d) / (ab * d);
}

__attribute__((noinline)) inline vf far_output(vf out, vf c1) { return sigmoid(out) * tanh(c1); }

// sigmoid(out) * tanh(c1)
TWIN_INLINE vf usual_output(vf out, vf c1)
{
    if (__builtin_expect(!(all_below(absolute(out), FAR) && all_below(absolute(c1), FAR)), false))
        return far_output(out, c1);
    const power_of_two o = exp_parts<false>(-out), c = exp_parts<false>(c1 * 2.0f);
    const vf below = (c.scale - 1.0f) + c.scale * c.rest;
    return below / ((1.0f + (o.scale + o.scale * o.rest)) * (below + 2.0f));
}

} // namespace twin
} // namespace
#endif
