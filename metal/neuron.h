// The sixteen neuron functions of MPSCNNNeuronType, four channels at a time.
#ifndef MPSRNN_NEURON_H
#define MPSRNN_NEURON_H

// MSL has no erf. |x| < 1: an odd polynomial; beyond: 1 - exp(-q(|x|)), q fitted to -log(erfc). Both are minimax fits
// of this project; the absolute error stays below 2e-7.
static inline float4 erf4(float4 x)
{
    const float4 t = abs(x);
    const float4 u = x * x;
    float4 p = float4(7.931461732368916e-05f);
    p = p * u - 0.0008034186903387308f;
    p = p * u + 0.0051911361515522f;
    p = p * u - 0.0268553514033556f;
    p = p * u + 0.11283624172210693f;
    p = p * u - 0.3761262893676758f;
    p = p * u + 1.128379225730896f;
    const float4 v = min(t, float4(10.0f));      // erf is 1 to the last bit long before, and q must not overflow
    float4 q = float4(0.0011547976173460484f);
    q = q * v - 0.01481019239872694f;
    q = q * v + 0.08872631937265396f;
    q = q * v + 0.6543591022491455f;
    q = q * v + 1.1175283193588257f;
    q = q * v + 0.0026472529862076044f;
    const float4 tail = copysign(1.0f - exp(-q), x);
    // The polynomial keeps NaN, so it is the branch that must be taken for NaN.
    return select(p * x, tail, t >= 1.0f);
}

// x >= 0 ? x : negative, and NaN where x is NaN.
static inline float4 rectify(float4 x, float4 negative)
{
    return select(negative, x, x >= 0.0f);
}

static inline float4 neuron(uint type, float4 x, float4 a, float b, float c)
{
    switch (type) {
    case 1:     // ReLU
    case 10:    // PReLU
        return rectify(x, a * x);
    case 2:     // Linear
        return a * x + b;
    case 3:     // Sigmoid
        return 1.0f / (1.0f + exp(-x));
    case 4: {   // HardSigmoid; select rather than clamp, which loses NaN
        const float4 y = a * x + b;
        return select(select(y, float4(0.0f), y < 0.0f), float4(1.0f), y > 1.0f);
    }
    case 5:     // TanH
        return a * tanh(b * x);
    case 6:     // Absolute
        return abs(x);
    case 7: {   // SoftPlus, without overflow of the exponential
        const float4 y = b * x;
        return a * (max(y, float4(0.0f)) + log(1.0f + exp(-abs(y))));
    }
    case 8:     // SoftSign
        return x / (1.0f + abs(x));
    case 9:     // ELU
        return rectify(x, a * (exp(x) - 1.0f));
    case 11: {  // ReLUN
        const float4 y = rectify(x, a * x);
        return select(y, float4(b), y > b);
    }
    case 12:    // Power
        return pow(a * x + b, float4(c));
    case 13:    // Exponential; c = -1 stands for e
        return c == -1.0f ? exp(a * x + b) : pow(float4(c), a * x + b);
    case 14:    // Logarithm; c = -1 stands for e
        return c == -1.0f ? log(a * x + b) : log(a * x + b) / log(c);
    case 15:    // GeLU
        return 0.5f * x * (1.0f + erf4(x * 0.70710678118654752f));
    default:    // None
        return x;
    }
}

#endif
