/* What twins derive from weights, kept with the buffer that they lie in. */
#ifndef PM_DERIVATION_H
#define PM_DERIVATION_H

struct msl_derivation;

void pm_free_derivations(struct msl_derivation *first);

#endif
