// What host and kernels share: argument structs, binding indices, function constants, tile sizes.
// Included by C, Objective-C and Metal Shading Language; only fixed-width scalars and arrays of them.
#ifndef MPSRNN_PARAMS_H
#define MPSRNN_PARAMS_H
#ifndef __METAL_VERSION__
#include <assert.h>
#include <stdint.h>
#endif

// Order of the gates in a kernel's packed arrays. A kernel of one gate holds it at 0.
#define MPSRNN_GATE_UPDATE 0
#define MPSRNN_GATE_RESET 1
#define MPSRNN_GATE_INPUT 0
#define MPSRNN_GATE_FORGET 1
#define MPSRNN_GATE_CELL 2
#define MPSRNN_GATE_OUTPUT 3
#define MPSRNN_MAX_GATES 4

// A thread computes this many neighbouring pixels of a row, four channels each: a weight is read once for all of them.
#define MPSRNN_PIXELS_PER_THREAD 2
#define MPSRNN_THREADGROUP_WIDTH 8
#define MPSRNN_THREADGROUP_HEIGHT 8

// Convolutions a kernel can add up; which image each reads is the kernel's business.
#define MPSRNN_MAX_TERMS 3

// One convolution, its gates fused: sum over taps and input slices. Weights lie as
// [output slice][tap][input slice of the group][input component][gate] of four output channels.
typedef struct {
    uint32_t taps;                  // taps in the union of the gates' windows; 0 = the term is absent
    uint32_t first_tap;             // into the tap table
    uint32_t first_weight;          // into the weights, in units of four elements
    uint32_t source_slices;         // slices per image of the source
    uint32_t group_source_slices;   // slices one group reads
    uint32_t group_output_slices;   // slices one group makes
} mpsrnn_term;

// b and c of a neuron; a is per channel (for PReLU's sake), in mpsrnn_channel's array.
typedef struct {
    float b, c;
} mpsrnn_neuron_params;

typedef struct {
    uint32_t width, height;
    uint32_t images;                // images in the batch
    uint32_t input_channels;
    uint32_t channels;              // output channels
    uint32_t slices;                // ceil(channels / 4)
    float p_norm;
    float output_a;                 // a of the cell-to-output neuron
    mpsrnn_neuron_params neurons[MPSRNN_MAX_GATES];
    mpsrnn_neuron_params output_neuron;
    mpsrnn_term terms[MPSRNN_MAX_TERMS];
} mpsrnn_cell_params;

// Joins the two results of a bidirectional sequence.
typedef struct {
    uint32_t width, height;
    uint32_t forward_channels, backward_channels;
} mpsrnn_combine_params;

// A layer of at most this many output channels walks a whole sequence in one dispatch, which leaves a block of rows to
// one threadgroup; a larger one would keep too little of the device busy, and takes a dispatch per step and phase.
#define MPSRNN_SEQUENCE_CHANNELS 256
#define MPSRNN_SEQUENCE_THREADS 64
#define MPSRNN_STEP_THREADS 32

// Rows of a batch that a thread computes, four channels each, where there are so many: a weight is read once for all.
#define MPSRNN_ROWS_PER_THREAD 4

// What a dispatch does of a matrix layer's sequence.
typedef struct {
    uint32_t first_step, last_step;     // of the table of steps, the last one excluded
    uint32_t first_phase, last_phase;   // of the cell: one for every stage
} mpsrnn_matrix_run;

// One time step of one matrix layer, as the host writes it. The kernels see pointers in place of the addresses, see
// matrix_cell.h. What is the caller's has strides, in elements; what is our own lies as [row][slice] of four floats,
// those past the last channel undefined.
#define MPSRNN_MATRIX_STEP_SIZE 144
#ifndef __METAL_VERSION__
typedef struct {
    uint64_t source;                    // x
    uint64_t destination;               // h1 in the type of the caller's matrix
    uint64_t output_in, memory_in;      // h0, c0
    uint64_t kept_output, kept_memory;  // h1, c1 for the caller
    uint64_t output, memory;            // h1, c1, our own
    uint64_t gate;                      // first to second phase: the GRU's z, the LSTM's output gate before go
    uint64_t reset, updated;            // r * h0, z * h0
    uint64_t sums;                      // [row][gate][slice]: all gates before their neurons
    uint64_t addend;                    // added to what goes to the destination
    uint32_t source_stride, destination_stride;
    uint32_t output_in_stride, memory_in_stride;
    uint32_t kept_output_stride, kept_memory_stride;
    uint32_t is_kept;                   // whether there are kept_output and kept_memory
    uint32_t rows;                      // of the batch that run at this step
    uint32_t state_rows;                // that have a previous state; it is zero for others. Those past `rows` keep it
    uint32_t unused;
} mpsrnn_matrix_step;
static_assert(sizeof(mpsrnn_matrix_step) == MPSRNN_MATRIX_STEP_SIZE, "the layout of matrix_step in matrix_cell.h");
#endif

// ---- Training, and copies of matrices ----

// One copy of the table that a dispatch of copy_matrix works off. Strides are in elements.
#define MPSRNN_MATRIX_COPY_SIZE 40
#define MPSRNN_COLUMNS_PER_THREAD 4
#ifndef __METAL_VERSION__
typedef struct {
    uint64_t from, to;
    uint32_t from_stride, to_stride;
    uint32_t from_half, to_half;        // whether the elements are half, else float
    uint32_t rows, columns;
} mpsrnn_matrix_copy;
static_assert(sizeof(mpsrnn_matrix_copy) == MPSRNN_MATRIX_COPY_SIZE, "the layout of matrix_copy in copy_matrix.metal");
#endif

// One matrix or vector to pack. A lane is one of the four channels that a unit of the packed weights holds, its depth
// is how many products its sum has: output and input channels where the matrix is to be multiplied with inputs, input
// and output channels where gradients are to be carried back through it. Strides are in elements.
#define MPSRNN_PACK_SIZE 40
#ifndef __METAL_VERSION__
typedef struct {
    uint64_t matrix, packed;
    uint32_t lane_stride, depth_stride;
    uint32_t lanes, depth;
    uint32_t place, places;             // which of those that share an index, such as gates
} mpsrnn_pack;
static_assert(sizeof(mpsrnn_pack) == MPSRNN_PACK_SIZE, "the layout of pack in pack.metal");
#endif

// What the kernels of gradients know of the weights: where a gate's matrix begins, in units of four elements, packed as
// [input slice][output channel, their number rounded up to 4] of four input channels.
#define MPSRNN_ABSENT 0xffffffffu
typedef struct {
    uint32_t rows;                      // of the batch, running or not
    uint32_t input[MPSRNN_MAX_GATES], recurrent[MPSRNN_MAX_GATES], memory[MPSRNN_MAX_GATES];
    uint32_t gates;
    uint32_t input_slices;              // ceil(input channels / 4)
    uint32_t is_half;                   // of what a kernel stores for the caller, else float
} mpsrnn_gradient_params;

// One time step of a gradient, with rows of our own as in mpsrnn_matrix_step; see gradient.h.
#define MPSRNN_GRADIENT_STEP_SIZE 120
#ifndef __METAL_VERSION__
typedef struct {
    uint64_t source;                    // x
    uint64_t gradient;                  // with respect to h1, from above
    uint64_t output_in, memory_in;      // h0, c0
    uint64_t memory;                    // c1
    uint64_t reset, updated;            // r * h0, z * h0
    uint64_t sums;                      // [row][gate][slice]: all gates before their neurons
    uint64_t delta;                     // [row][gate][slice]: with respect to those
    uint64_t carry_output_in, carry_memory_in;  // with respect to h1 and c1, from the next step
    uint64_t carry_output, carry_memory;        // with respect to h0 and c0, for the step before
    uint64_t source_gradient;           // with respect to x, the caller's
    uint32_t source_gradient_stride;    // in elements
    uint32_t rows;                      // of the batch that run at this step
} mpsrnn_gradient_step;
static_assert(sizeof(mpsrnn_gradient_step) == MPSRNN_GRADIENT_STEP_SIZE, "the layout of gradient_step in gradient.h");
#endif

// What a gate's delta is multiplied with to make the gradient of one of its matrices.
#define MPSRNN_OPERAND_SOURCE 0         // x
#define MPSRNN_OPERAND_OUTPUT 1         // h0
#define MPSRNN_OPERAND_MEMORY_IN 2      // c0
#define MPSRNN_OPERAND_MEMORY 3         // c1
#define MPSRNN_OPERAND_RESET 4          // r * h0
#define MPSRNN_OPERAND_UPDATED 5        // z * h0
#define MPSRNN_OPERAND_ONE 6            // 1, for the bias

// One gradient of a weight matrix, or of a vector: then its columns are the output channels.
#define MPSRNN_WEIGHT_GRADIENT_SIZE 24
#ifndef __METAL_VERSION__
typedef struct {
    uint64_t matrix;
    uint32_t stride;                    // in elements
    uint32_t columns;
    uint32_t gate, operand;
} mpsrnn_weight_gradient;
static_assert(sizeof(mpsrnn_weight_gradient) == MPSRNN_WEIGHT_GRADIENT_SIZE,
               "the layout of weight_gradient in weight_gradient.metal");
#endif

typedef struct {
    uint32_t steps;
    uint32_t gates;
    uint32_t channels, slices;          // output channels
    uint32_t input_slices;
    uint32_t accumulates;               // adds to what is there
    uint32_t is_half;                   // the elements of the gradients, else float
} mpsrnn_weight_gradient_params;

// Rows of the per-channel array: [output slice][gate][row] of four floats.
#define MPSRNN_CHANNEL_BIAS 0
#define MPSRNN_CHANNEL_A 1
#define MPSRNN_CHANNEL_PEEPHOLE 2
#define MPSRNN_CHANNEL_ROWS 3

// Bindings.
#define MPSRNN_BUFFER_PARAMS 0
#define MPSRNN_BUFFER_WEIGHTS 1
#define MPSRNN_BUFFER_TAPS 2
#define MPSRNN_BUFFER_CHANNELS 3
#define MPSRNN_BUFFER_OUTPUT_PARAMS 4   // of the second phase of a matrix kernel
#define MPSRNN_BUFFER_OUTPUT_WEIGHTS 5
#define MPSRNN_BUFFER_OUTPUT_CHANNELS 6
#define MPSRNN_BUFFER_RUN 7
#define MPSRNN_BUFFER_STEPS 8
#define MPSRNN_BUFFER_GRADIENT_PARAMS 9
#define MPSRNN_BUFFER_JOBS 10           // a table of copies, packs or weight gradients

#define MPSRNN_TEXTURE_SOURCE 0         // x
#define MPSRNN_TEXTURE_OUTPUT_IN 1      // h0
#define MPSRNN_TEXTURE_MEMORY_IN 2      // c0
#define MPSRNN_TEXTURE_OUTPUT 3         // h1
#define MPSRNN_TEXTURE_MEMORY 4         // c1
#define MPSRNN_TEXTURE_DESTINATION 5    // h1 in the format of the caller's image
#define MPSRNN_TEXTURE_GATE 6           // first to second dispatch: the GRU's z, the LSTM's output gate before go
#define MPSRNN_TEXTURE_RESET 7          // r * h0
#define MPSRNN_TEXTURE_UPDATED 8        // z * h0

#define MPSRNN_TEXTURE_FORWARD 0        // of the kernels that combine
#define MPSRNN_TEXTURE_BACKWARD 1

// Function constants. All of a step's are set for each of its kernels.
#define MPSRNN_CONSTANT_HAS_STATE 0         // bool: there is a previous state; without one it is zero and not bound
#define MPSRNN_CONSTANT_HAS_RECURRENT 1     // bool: a previous state and recurrent weights (the GRU: Uh)
#define MPSRNN_CONSTANT_HAS_MEMORY 2        // bool: a previous state and convolutions of the memory (the GRU: Vh)
#define MPSRNN_CONSTANT_HAS_PEEPHOLE 3      // bool: the LSTM's peepholes are per channel
#define MPSRNN_CONSTANT_HAS_DESTINATION 4   // bool: the layer is the last of its stack
#define MPSRNN_CONSTANT_KEEPS_OUTPUT 5      // bool: h1 is kept for the next step, the next layer or the caller's state
#define MPSRNN_CONSTANT_SPLITS_OUTPUT 6     // bool: the LSTM's output gate convolves the new cell, in a second dispatch
#define MPSRNN_CONSTANT_UNIT_TRANSFORM 7    // bool: useLayerInputUnitTransformMode
#define MPSRNN_CONSTANT_FLIP 8              // bool: flipOutputGates
#define MPSRNN_CONSTANT_P_NORM 9            // bool: gatePnormValue is not 1
#define MPSRNN_CONSTANT_SOURCE_HALF 10      // bool: the elements of the source matrices are half, else float
#define MPSRNN_CONSTANT_DESTINATION_HALF 11 // bool: the same of the destinations
#define MPSRNN_CONSTANT_KEEPS_SUMS 12       // bool: the gates' sums are stored
#define MPSRNN_CONSTANT_ADDS 13             // bool: the destination receives addend + h1
#define MPSRNN_CONSTANT_REDUCED_PRECISION 14    // bool: matrices may be multiplied in less than float32, sums may not
#define MPSRNN_CONSTANT_NEURON_0 15         // uint: MPSCNNNeuronType of each gate of the kernel
#define MPSRNN_CONSTANT_NEURON_1 16
#define MPSRNN_CONSTANT_NEURON_2 17
#define MPSRNN_CONSTANT_NEURON_3 18
#define MPSRNN_CONSTANT_NEURON_OUTPUT 19    // uint: MPSCNNNeuronType from cell to output
#define MPSRNN_CONSTANT_COUNT 20

#endif
