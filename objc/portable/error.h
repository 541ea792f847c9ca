/* How the files of the portable Metal make an NSError. */
#ifndef PM_ERROR_H
#define PM_ERROR_H
#import <Foundation/Foundation.h>

/* Owned by the caller; nil without memory. */
NSError *pm_new_error(NSString *domain, NSUInteger code, const char *text);

/* Puts an autoreleased error into *error, unless `error` is NULL: the caller did not ask. */
void pm_set_error(NSError **error, NSString *domain, NSUInteger code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
