#ifndef PM_BUFFER_H
#define PM_BUFFER_H
#import "device.h"

@interface PMBuffer : PMDeviceObject <MTLBuffer> {
    void *_storage;
    NSUInteger _length;
    MTLStorageMode _storageMode;
    BOOL _isBorrowed;                               /* the storage is the caller's */
    struct PortableMetalBlock *_deallocator;        /* says that it is not needed any more; may be NULL */
    struct msl_derivation *_derivations;
}
- (id)initWithDevice:(PMDevice *)device length:(NSUInteger)length options:(MTLResourceOptions)options;

- (id)initWithDevice:(PMDevice *)device
               bytes:(void *)bytes
              length:(NSUInteger)length
             options:(MTLResourceOptions)options
         deallocator:(const struct PortableMetalBlock *)deallocator;

/* The memory, of private buffers too. */
- (void *)storage;
/* Where twins keep what they derive from the contents (derivation.h). */
- (struct msl_derivation **)derivations;
@end

#endif
