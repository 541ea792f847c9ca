#import "shim.h"
#include <stdlib.h>

@implementation MCYImageState
- (id)initWithLayerCount:(size_t)count
{
    self = [super init];
    if (self) {
        layer_count = count;
        outputs = calloc(count, sizeof *outputs);
        memories = calloc(count, sizeof *memories);
        if (!outputs || !memories) {
            [self release];
            return nil;
        }
    }
    return self;
}

- (void)dealloc
{
    for (size_t i = 0; i < layer_count; ++i) {
        if (outputs) {
            [outputs[i] release];
        }
        if (memories) {
            [memories[i] release];
        }
    }
    free(outputs);
    free(memories);
    [super dealloc];
}
@end

mpsrnn_status mcy_image_state_create(const mpsrnn_image *outputs, const mpsrnn_image *memories, size_t layer_count,
                                     mpsrnn_image_state *out, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mpsrnn_status status = MPSRNN_STATUS_OK;
    MCYImageState *state = [[MCYImageState alloc] initWithLayerCount:layer_count];
    if (state) {
        for (size_t i = 0; i < layer_count; ++i) {
            state->outputs[i] = [(MCYImage *)outputs[i] retain];
            state->memories[i] = [(MCYImage *)memories[i] retain];
        }
        *out = (mpsrnn_image_state)state;
    } else {
        status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for the state of %zu layers", layer_count);
    }
    [pool drain];
    return status;
}

size_t mcy_image_state_layer_count(mpsrnn_image_state state)
{
    return ((MCYImageState *)state)->layer_count;
}

mpsrnn_image mcy_image_state_copy_image(mpsrnn_image_state handle, size_t layer, mpsrnn_state_part part)
{
    MCYImageState *state = (MCYImageState *)handle;
    if (layer >= state->layer_count) {
        return NULL;
    }
    MCYImage *image = part == MPSRNN_MEMORY_CELL ? state->memories[layer] : state->outputs[layer];
    return (mpsrnn_image)[image retain];
}
