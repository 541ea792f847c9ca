/* Misuse of the API that no NSError and no command buffer can report: kept for the thread that did it. */
#ifndef PM_VIOLATION_H
#define PM_VIOLATION_H

enum { PM_MESSAGE_SIZE = 512 };

void pm_report_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
