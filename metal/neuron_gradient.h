// The derivatives of the sixteen neuron functions, four channels at a time, from what goes into the neuron.
//
// They are the mathematical ones. Where a function has a corner, the side that the function itself counts it to
// decides; 0 is the derivative of |x| there.
#ifndef MPSRNN_NEURON_GRADIENT_H
#define MPSRNN_NEURON_GRADIENT_H
#include "neuron.h"

// e / (1 + e)^2 for e = exp(x), without cancellation far from 0 and without overflow.
static inline float4 sigmoid_gradient(float4 x)
{
    const float4 e = exp(-abs(x));
    const float4 sum = 1.0f + e;
    return e / (sum * sum);
}

// 1 where x >= 0, `negative` elsewhere.
static inline float4 rectify_gradient(float4 x, float4 negative)
{
    return select(negative, float4(1.0f), x >= 0.0f);
}

static inline float4 neuron_gradient(uint type, float4 x, float4 a, float b, float c)
{
    switch (type) {
    case 1:     // ReLU
    case 10:    // PReLU
        return rectify_gradient(x, a);
    case 2:     // Linear
        return a;
    case 3:     // Sigmoid
        return sigmoid_gradient(x);
    case 4: {   // HardSigmoid
        const float4 y = a * x + b;
        return select(select(a, float4(0.0f), y < 0.0f), float4(0.0f), y > 1.0f);
    }
    case 5:     // TanH; 1 - tanh^2 = 4 e / (1 + e)^2 for e = exp(2 b x)
        return a * b * 4.0f * sigmoid_gradient(2.0f * b * x);
    case 6:     // Absolute
        return sign(x);
    case 7:     // SoftPlus
        return a * b / (1.0f + exp(-b * x));
    case 8: {   // SoftSign
        const float4 y = 1.0f + abs(x);
        return 1.0f / (y * y);
    }
    case 9:     // ELU
        return rectify_gradient(x, a * exp(x));
    case 11:    // ReLUN
        return select(rectify_gradient(x, a), float4(0.0f), rectify(x, a * x) > b);
    case 12:    // Power
        return a * c * pow(a * x + b, float4(c - 1.0f));
    case 13:    // Exponential; c = -1 stands for e
        return c == -1.0f ? a * exp(a * x + b) : a * log(c) * pow(float4(c), a * x + b);
    case 14:    // Logarithm; c = -1 stands for e
        return c == -1.0f ? a / (a * x + b) : a / ((a * x + b) * log(c));
    case 15:    // GeLU; the factor is 1 / sqrt(2 pi)
        return 0.5f * (1.0f + erf4(x * 0.70710678118654752f)) + 0.39894228040143268f * x * exp(-0.5f * x * x);
    default:    // None
        return float4(1.0f);
    }
}

#endif
