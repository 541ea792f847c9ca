/* What the files of the shim know of each other. One class per handle of mpsrnn.h; a handle is the object's address.
 *
 * Manual retain/release. Ivars end in no underscore and are public inside the shim: these classes are structs with a
 * reference count. */
#ifndef MCY_SHIM_H
#define MCY_SHIM_H
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>
#include <pthread.h>
#include "functions.h"
#include "mpsrnn.h"
#include "params.h"

#if defined(__has_feature)
#if __has_feature(objc_arc)
#error "the shim counts references itself: compile with -fno-objc-arc"
#endif
#endif

/* Fills `error` (which may be NULL) and returns `status`. */
mpsrnn_status mcy_fail(mpsrnn_error *error, mpsrnn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Counts itself in mpsrnn_api.live_handle_count. */
@interface MCYHandle : NSObject
@end

/* A block made by hand, by the public block ABI: what a compiler emits for a stack block that captures two plain
 * pointers. The receiver copies it. GCC has no blocks syntax. */
struct mcy_block {
    void *isa;
    int flags, reserved;
    void (*invoke)(void);                       /* takes the block, then the block's arguments */
    const void *descriptor;
    void (*function)(void *context);
    void *context;
};

enum { MCY_BLOCK_HAS_SIGNATURE = 1 << 30 };

typedef struct {
    unsigned long reserved, size;
    const char *signature;
} mcy_block_descriptor;

/* ---- device.m, pipeline.m ---- */

typedef struct {
    uint32_t values[MPSRNN_CONSTANT_COUNT];     /* bool constants as 0 or 1 */
} mcy_constants;

typedef struct mcy_pipeline_entry mcy_pipeline_entry;

@interface MCYDevice : MCYHandle {
@public
    id<MTLDevice> metal;
    pthread_mutex_t lock;                       /* guards what follows */
    mcy_pipeline_entry *pipelines;
    size_t pipeline_count;
}
- (id)initWithMetal:(id<MTLDevice>)device;
@end

/* The pipeline of a kernel, made at first use and owned by the device. `library` is the stem of a .metal file. */
mpsrnn_status mcy_device_pipeline(MCYDevice *device, const char *library, const char *kernel,
                                  const mcy_constants *constants, id<MTLComputePipelineState> *out,
                                  mpsrnn_error *error);
void mcy_device_release_pipelines(MCYDevice *device);

/* ---- command.m ---- */

@interface MCYQueue : MCYHandle {
@public
    MCYDevice *device;
    id<MTLCommandQueue> metal;
}
@end

@interface MCYCommand : MCYHandle {
@public
    MCYDevice *device;
    pthread_mutex_t lock;                       /* one encoding at a time */
    id<MTLCommandBuffer> metal;
    id<MTLComputeCommandEncoder> encoder;       /* made at the first dispatch, nil after commit */
    MTLDispatchType dispatch_type;              /* of the encoder */
    BOOL committed;
    uint32_t dispatch_count;
}
@end

/* Makes an encoder of this type for a command buffer that is not committed, if it has none open. */
mpsrnn_status mcy_command_open_encoder(MCYCommand *command, MTLDispatchType type, mpsrnn_error *error);
/* Dispatches a grid of threads, rounded up to whole threadgroups. */
void mcy_command_dispatch(MCYCommand *command, uint32_t width, uint32_t height, uint32_t depth);
/* Dispatches threadgroups of `threads` threads in a row. */
void mcy_command_dispatch_threadgroups(MCYCommand *command, uint32_t width, uint32_t height, uint32_t threads);

/* ---- texture.m ---- */

@interface MCYTexture : MCYHandle {
@public
    MCYDevice *device;
    id<MTLTexture> metal;
}
@end

enum { MCY_MAX_SIDE = 16384, MCY_MAX_SLICES = 2048 };      /* of any Metal device of today */

/* Pixel formats are the twelve of these component counts (1, 2 or 4) and channel formats. */
MTLPixelFormat mcy_pixel_format(uint32_t components, uint32_t channel_format);
BOOL mcy_read_pixel_format(MTLPixelFormat format, uint32_t *components, uint32_t *channel_format);

void mcy_describe_texture(id<MTLTexture> texture, mpsrnn_texture_descriptor *descriptor);
void mcy_read_storage(id<MTLTexture> texture, mpsrnn_storage *storage);

/* A new texture, or nil; arguments have been checked. */
id<MTLTexture> mcy_new_texture(MCYDevice *device, const mpsrnn_texture_descriptor *descriptor);

/* ---- image.m, image_view.m ---- */

@interface MCYImage : MCYHandle {
@public
    MCYDevice *device;
    mpsrnn_image_descriptor descriptor;
    uint32_t components;                        /* of a texel: at least the channels of a slice */
    id<MTLTexture> texture;
    id<MTLTexture> array;                       /* the same storage as a 2D array, the one type the kernels take */
}
@end

static inline uint32_t mcy_slices(uint32_t channels)
{
    return (channels + 3) / 4;
}

mpsrnn_status mcy_image_create(MCYDevice *device, const mpsrnn_image_descriptor *descriptor, MCYImage **out,
                               mpsrnn_error *error);
/* A texture as a 2D array, with a reference for the caller; nil if there is no memory. */
id<MTLTexture> mcy_new_array_view(id<MTLTexture> texture);

/* ---- buffer.m ---- */

@interface MCYBuffer : MCYHandle {
@public
    MCYDevice *device;
    id<MTLBuffer> metal;
}
@end

mpsrnn_status mcy_buffer_create(MCYDevice *device, size_t length, MTLResourceOptions options, MCYBuffer **out,
                                mpsrnn_error *error);
mpsrnn_status mcy_buffer_create_with_bytes(MCYDevice *device, const void *bytes, size_t length, MCYBuffer **out,
                                           mpsrnn_error *error);

/* ---- image_state.m ---- */

/* h and, for LSTMs, c of every layer of a stack; nil where a layer keeps none. */
@interface MCYImageState : MCYHandle {
@public
    size_t layer_count;
    MCYImage **outputs, **memories;
}
- (id)initWithLayerCount:(size_t)count;
@end

/* ---- stage.m ---- */

enum { MCY_STAGE_VARIANTS = 8, MCY_MATRIX_VARIANTS = 128 };

/* One kernel of a cell with its weights: what one dispatch of one time step needs besides images. */
@interface MCYStage : NSObject {
@public
    const char *kernel;                         /* base name, static */
    BOOL float32_weights;
    mpsrnn_cell_params params;                  /* all but the size of the images */
    mcy_constants constants;                    /* all but those of a single step */
    id<MTLBuffer> weights, taps, channels;
    id<MTLComputePipelineState> pipelines[MCY_STAGE_VARIANTS];  /* owned by the device; guarded by the layer's lock */
    void *matrix_pipelines[MCY_MATRIX_VARIANTS];                /* the same over matrices; atomic */
}
@end

/* Packs `gate_count` gates of a cell. `terms[t * gate_count + g]` is gate g's share in term t, which reads
 * `term_channels[t]` channels; entries may be absent. */
typedef struct {
    const char *kernel;
    uint32_t gate_count, term_count;
    const mpsrnn_convolution *terms[MPSRNN_MAX_TERMS * MPSRNN_MAX_GATES];
    uint32_t term_channels[MPSRNN_MAX_TERMS];
    const mpsrnn_gate *gates[MPSRNN_MAX_GATES];
    BOOL has_bias;                              /* no: another stage adds it */
} mcy_stage_plan;

mpsrnn_status mcy_stage_create(MCYDevice *device, const mpsrnn_cell *cell, const mcy_stage_plan *plan, MCYStage **out,
                               mpsrnn_error *error);

/* ---- image_layer.m ---- */

/* A layer of a stack: one stage, or two for the GRU and the LSTM whose output gate convolves the new cell. */
typedef struct {
    mpsrnn_cell_kind kind;
    const char *library;
    size_t index;                               /* in its layer object */
    BOOL is_backward;
    uint32_t input_channels, output_channels;
    BOOL has_recurrent, has_memory;             /* convolutions that need a previous state, see params.h */
    BOOL reads_output;                          /* the next step reads h0 */
    MCYStage *stages[2];
    size_t stage_count;
} mcy_cell;

@interface MCYImageLayer : MCYHandle {
@public
    MCYDevice *device;
    pthread_mutex_t lock;                       /* guards the stages' pipelines */
    mcy_cell *cells;
    size_t cell_count;
}
@end

mpsrnn_status mcy_cell_create(MCYDevice *device, const mpsrnn_cell *cell, mcy_cell *out, mpsrnn_error *error);
void mcy_cell_destroy(mcy_cell *cell);

/* ---- image_sequence.m ---- */

/* One stack of cells over one sequence. */
typedef struct {
    MCYImageLayer *layer;
    MCYCommand *command;
    const mcy_cell **cells;                     /* of the layer, bottom first */
    size_t cell_count;
    BOOL is_backward;                           /* step 0 is the last image */
    MCYImage **sources, **destinations;
    size_t count;
    uint32_t width, height, images;
    MCYImageState *state_in;                    /* with an entry for every cell of the layer; nil: zero */
    size_t state_count;                         /* states of the last steps to keep: 0, 1 or all */
    BOOL has_private_states;                    /* of those */

    MCYImageState **states;                     /* by step; a step whose state nobody keeps shares one of two */
    MCYImage **scratch;                         /* by cell: what its first dispatch leaves to its second */
    BOOL *recurs_in_destination;                /* by step: the next one reads the destination as its previous output */
} mcy_sequence;

/* Which cells of a layer a sequence runs through. */
typedef enum { MCY_ALL_CELLS, MCY_FORWARD_CELLS, MCY_BACKWARD_CELLS } mcy_direction;

/* A sequence without cells and destinations, which the caller adds before it checks, prepares, encodes and, whatever
 * happened, destroys it. Once prepared, encoding cannot fail. */
mcy_sequence mcy_sequence_over(MCYImageLayer *layer, MCYCommand *command, const mpsrnn_image *sources, size_t count,
                               mpsrnn_image_state state_in);
mpsrnn_status mcy_sequence_choose_cells(mcy_sequence *sequence, mcy_direction direction, mpsrnn_error *error);
mpsrnn_status mcy_sequence_check(const mcy_sequence *sequence, mpsrnn_error *error);
mpsrnn_status mcy_sequence_check_images(const mcy_sequence *sequence, MCYImage **images, uint32_t channels,
                                        const char *what, mpsrnn_error *error);
mpsrnn_status mcy_sequence_prepare(mcy_sequence *sequence, mpsrnn_error *error);
void mcy_sequence_encode(const mcy_sequence *sequence);
void mcy_sequence_destroy(mcy_sequence *sequence);

void mcy_bind_image(id<MTLComputeCommandEncoder> encoder, MCYImage *image, NSUInteger index);

/* ---- image_memory.m ---- */

/* What a cell's first dispatch leaves to its second: z, or the output gate before its neuron; r * h0; z * h0. */
typedef enum { MCY_SCRATCH_GATE, MCY_SCRATCH_RESET, MCY_SCRATCH_UPDATED, MCY_SCRATCH_COUNT } mcy_scratch;

/* All images of a sequence whose cells and destinations are known; released again whether they could be made or not. */
mpsrnn_status mcy_sequence_make_memory(mcy_sequence *sequence, mpsrnn_error *error);
void mcy_sequence_release_memory(mcy_sequence *sequence);

/* Which image of the caller's a step belongs to. */
size_t mcy_sequence_place(const mcy_sequence *sequence, size_t step);
/* nil where there is none. */
MCYImage *mcy_sequence_destination(const mcy_sequence *sequence, size_t step, size_t layer);
MCYImage *mcy_sequence_output_before(const mcy_sequence *sequence, size_t step, size_t layer);
MCYImage *mcy_sequence_memory_before(const mcy_sequence *sequence, size_t step, size_t layer);
MCYImage *mcy_sequence_scratch(const mcy_sequence *sequence, size_t step, size_t layer, mcy_scratch which);
/* Whether a step's output goes into its state. */
BOOL mcy_sequence_keeps_output(const mcy_sequence *sequence, size_t step, size_t layer);

/* A float32 image of the sequence's size, if *out is nil. */
mpsrnn_status mcy_sequence_make_image(const mcy_sequence *sequence, uint32_t channels, MTLStorageMode storage_mode,
                                      MCYImage **out, mpsrnn_error *error);

/* ---- matrix.m ---- */

/* Elements of a matrix that a kernel can reach by pointer; a buffer of nil where there are none. */
typedef struct {
    id<MTLBuffer> buffer;                       /* not retained */
    size_t offset;
} mcy_memory;

static inline size_t mcy_element_size(uint32_t data_type)
{
    return data_type == MPSRNN_FLOAT16 ? 2 : 4;
}

/* BAD_ARGUMENT unless the matrix is there, of a known type, aligned, inside its buffer, of this device and of `rows` x
 * `columns` elements; 0 rows stands for any number. `what` and `index` name it. */
mpsrnn_status mcy_matrix_check(const mpsrnn_matrix *matrix, MCYDevice *device, uint32_t rows, uint32_t columns,
                               const char *what, size_t index, mpsrnn_error *error);
static inline mcy_memory mcy_matrix_memory(const mpsrnn_matrix *matrix)
{
    const mcy_memory memory = { matrix->buffer ? ((MCYBuffer *)matrix->buffer)->metal : nil, matrix->offset };
    return memory;
}

/* From one row to the next, in elements; fits after mcy_matrix_check. */
static inline uint32_t mcy_matrix_stride(const mpsrnn_matrix *matrix)
{
    return (uint32_t)(matrix->row_bytes / mcy_element_size(matrix->data_type));
}

/* What kernels find it at; 0 if there is none. */
uint64_t mcy_memory_address(mcy_memory memory);
/* Tells the encoder that the kernels of the dispatches to come reach it by pointer, which also keeps it alive. */
void mcy_memory_use(id<MTLComputeCommandEncoder> encoder, mcy_memory memory, BOOL is_written);

/* ---- matrix_layer.m ---- */

@interface MCYMatrixLayer : MCYHandle {
@public
    MCYDevice *device;
    mcy_cell *cells;
    size_t cell_count;
}
@end

/* A cell for matrices: BAD_ARGUMENT for convolutions that are not 1 x 1 or whose groups do not divide the channels. */
mpsrnn_status mcy_matrix_cell_create(MCYDevice *device, const mpsrnn_cell *cell, mcy_cell *out, mpsrnn_error *error);

#endif
