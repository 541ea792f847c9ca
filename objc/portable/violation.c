#include "violation.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* Declared in PortableMetal.h, which is Objective-C. */
const char *PortableMetalTakeViolation(void);

static __thread struct {
    bool reported;
    char message[PM_MESSAGE_SIZE];
} violation;

void pm_report_violation(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(violation.message, sizeof violation.message, format, arguments);
    va_end(arguments);
    violation.reported = true;
}

const char *PortableMetalTakeViolation(void)
{
    const bool reported = violation.reported;
    violation.reported = false;
    return reported ? violation.message : NULL;
}
