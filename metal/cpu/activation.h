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
    case 3:     // Sigmoid
        return sigmoid(x);
    case 5:     // TanH
        return a * tanh(b * x);
    default:
        return kernel_neuron(type, x, a, b, c);
    }
}

} // namespace twin
} // namespace
#endif
