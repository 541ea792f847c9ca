/* The table of the contract, and what every handle has in common. */
#import "shim.h"
#import "matrix_copy.h"
#import "training.h"
#include <stdarg.h>
#include <stdio.h>

static size_t live_handles;

@implementation MCYHandle
- (id)init
{
    self = [super init];
    if (self) {
        __atomic_fetch_add(&live_handles, 1, __ATOMIC_RELAXED);
    }
    return self;
}

- (void)dealloc
{
    __atomic_fetch_sub(&live_handles, 1, __ATOMIC_RELAXED);
    [super dealloc];
}
@end

size_t mcy_live_handle_count(void)
{
    return __atomic_load_n(&live_handles, __ATOMIC_RELAXED);
}

void mcy_release(void *handle)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    [(id)handle release];
    [pool drain];
}

mpsrnn_status mcy_fail(mpsrnn_error *error, mpsrnn_status status, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

const mpsrnn_api *mpsrnn_get_api(void)
{
    static const mpsrnn_api api = {
        .device_create_default = mcy_device_create_default,
        .device_copy_all = mcy_device_copy_all,
        .device_get_info = mcy_device_get_info,
        .device_set_thread_count = mcy_device_set_thread_count,
        .device_is_same = mcy_device_is_same,
        .queue_create = mcy_queue_create,
        .command_create = mcy_command_create,
        .command_add_completion = mcy_command_add_completion,
        .command_commit = mcy_command_commit,
        .command_wait = mcy_command_wait,
        .command_run = mcy_command_run,
        .command_get_info = mcy_command_get_info,
        .texture_create = mcy_texture_create,
        .texture_get_descriptor = mcy_texture_get_descriptor,
        .texture_get_storage = mcy_texture_get_storage,
        .image_create = mcy_image_handle_create,
        .image_create_over = mcy_image_create_over,
        .image_get_descriptor = mcy_image_get_descriptor,
        .image_get_texture_descriptor = mcy_image_get_texture_descriptor,
        .image_get_storage = mcy_image_get_storage,
        .image_copy_texture = mcy_image_copy_texture,
        .image_write = mcy_image_write,
        .image_read = mcy_image_read,
        .image_layer_create = mcy_image_layer_create,
        .image_layer_encode_sequence = mcy_image_layer_encode_sequence,
        .image_layer_encode_bidirectional = mcy_image_layer_encode_bidirectional,
        .image_state_create = mcy_image_state_create,
        .image_state_layer_count = mcy_image_state_layer_count,
        .image_state_copy_image = mcy_image_state_copy_image,
        .buffer_create = mcy_buffer_handle_create,
        .buffer_create_no_copy = mcy_buffer_handle_create_no_copy,
        .buffer_length = mcy_buffer_length,
        .buffer_contents = mcy_buffer_contents,
        .command_copy_matrix = mcy_command_copy_matrix,
        .matrix_layer_create = mcy_matrix_layer_create,
        .matrix_layer_encode_sequence = mcy_matrix_layer_encode_sequence,
        .matrix_layer_encode_bidirectional = mcy_matrix_layer_encode_bidirectional,
        .training_layer_create = mcy_training_layer_create,
        .training_layer_encode_forward = mcy_training_layer_encode_forward,
        .training_layer_encode_gradient = mcy_training_layer_encode_gradient,
        .release = mcy_release,
        .live_handle_count = mcy_live_handle_count,
    };
    return &api;
}
